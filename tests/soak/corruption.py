from tests.soak.record import Campaign


def corruption(campaign: Campaign, count: int, only: str = "") -> None:
    """Later."""
