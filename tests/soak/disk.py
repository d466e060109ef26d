from tests.soak.record import Campaign


def disk(campaign: Campaign, count: int, only: str = "") -> None:
    """Later."""
