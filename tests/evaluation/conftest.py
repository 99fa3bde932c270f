import pytest
from hypothesis import settings

from synthetic_comparison import Invented, invent_comparison

# A busy machine is no failure: properties are judged by their outcome alone.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Invented:
    """A finished comparison that tests read and do not change."""
    return invent_comparison(tmp_path_factory.mktemp("invented"))
