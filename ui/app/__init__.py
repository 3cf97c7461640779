"""The browser app: `app.py` is its frame, each file of `views` a page."""
