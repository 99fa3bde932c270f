import sys
from pathlib import Path

import pytest

# The invented comparison serves the browser tests too, so it lies one folder up.
sys.path.insert(0, str(Path(__file__).parents[1]))

from invented_comparison import Invented, invent_comparison


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Invented:
    """A finished comparison that tests read and do not change."""
    return invent_comparison(tmp_path_factory.mktemp("invented"))
