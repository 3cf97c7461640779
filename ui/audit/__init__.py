"""The audit of the article, as text, Markdown and HTML, in English and Chinese."""
