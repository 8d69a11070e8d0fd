"""The browser that the gallery is tested with: Chromium as Debian packages it, or a Chrome that is there.

Only the standard library, so that it also runs where nothing is installed yet.
"""

import os
import shutil

from tests.services.server import ServiceError

PACKAGES = ("chromium",)
PRODUCT = "Chromium"
MEND = "install it (Debian: apt-get install chromium; elsewhere Chrome does as well), or set CHROMIUM to its path"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PLACES = tuple(f"/Applications/{name}.app/Contents/MacOS/{name}" for name in ("Chromium", "Google Chrome"))


def find() -> str | None:
    """Its path: CHROMIUM if set, else what this machine has installed, else None."""
    given = (os.environ.get("CHROMIUM"), *NAMES, *PLACES)
    return next((found for one in given if one and (found := shutil.which(one))), None)


def find_chromium() -> str:
    """Its path; a ServiceError that says what to install when there is none to be had."""
    found = find()
    if found is None:
        raise ServiceError(f"the tests need {PRODUCT}: {MEND}")
    return found
