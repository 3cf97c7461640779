"""What the console commands do; ui.cli parses the command line and imports these when they are called."""
