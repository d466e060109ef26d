from tests.soak.record import Campaign


def concurrency(campaign: Campaign, count: int, only: str = "") -> None:
    """Later."""
