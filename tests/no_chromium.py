"""Why a test in a browser is skipped; apart, so that it can be known without a browser's packages."""

NO_CHROMIUM = "there is no Chromium on this machine: scripts/browser.sh installs it"
