"""Chromium, offline, on pages made from invented comparisons; without a Chromium the tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from movielora.evaluation.report.build import write_report
from synthetic_comparison import Invented, invent_comparison

# Debian's and others' names; Playwright's own download is not needed.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start a browser context of its own, empty and without a network: `chromium(viewport=…, color_scheme=…)`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        contexts = []

        def start(**options: Any) -> Any:
            context = playwright.chromium.launch_persistent_context(
                tmp_path_factory.mktemp("profile"),
                executable_path=executable,
                args=_ARGUMENTS,
                offline=True,
                accept_downloads=True,
                **{"viewport": {"width": 1440, "height": 900}, **options},
            )
            contexts.append(context)
            return context

        yield start
        for context in contexts:
            context.close()


@pytest.fixture(scope="session")
def desktop(chromium: Callable[..., Any]) -> Any:
    return chromium()


class Page:
    """A report in a tab. `complaints` are console errors, page errors and dialogs: there must be none."""

    def __init__(self, context: Any, path: Path, address: str = "") -> None:
        self.complaints: list[str] = []
        self.tab = context.new_page()
        self.tab.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("dialog", self._refuse)
        self.tab.goto(f"{path.resolve().as_uri()}{address}")
        self.tab.wait_for_selector("html[data-ready]")

    def _refuse(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def counted(self) -> tuple[int, int]:
        """`60 of 900` as numbers."""
        shown, _, total = self.tab.inner_text("#counted strong").replace(",", "").partition(" of ")
        return int(shown), int(total)

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for `condition`; the page's policy forbids Playwright's own `wait_for_function`, as it should."""
        for _ in range(250):
            if condition():
                return
            self.tab.wait_for_timeout(20)
        raise AssertionError("the page did not come to what was waited for")

    def address(self) -> str:
        return str(self.tab.evaluate("location.hash"))


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Invented:
    made = invent_comparison(tmp_path_factory.mktemp("invented"))
    write_report(made.folder.root)
    return made


@pytest.fixture
def open_page(desktop: Any) -> Iterator[Callable[..., Page]]:
    """Open a report; at the end of the test every page must be without complaints."""
    pages: list[Page] = []

    def start(path: Path, address: str = "", context: Any = None) -> Page:
        pages.append(Page(context or desktop, path, address))
        return pages[-1]

    yield start
    complaints = [complaint for page in pages for complaint in page.complaints]
    for page in pages:
        page.tab.close()
    assert complaints == []


@pytest.fixture
def page(open_page: Callable[..., Page], invented: Invented) -> Page:
    return open_page(invented.folder.report)
