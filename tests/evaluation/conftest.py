import pytest

from invented_comparison import Invented, invent_comparison


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Invented:
    """A finished comparison that tests read and do not change."""
    return invent_comparison(tmp_path_factory.mktemp("invented"))
