"""The single-file page: a picture to look into, in any browser, without a network.

``data.py`` says what the page knows of a graph view, ``page.py`` puts one file together from it and from ``page.js``
(what is shown and what a reader does), ``layout.js`` (where things stand), ``step.js`` (walking through the two passes)
and the style sheets. With ``relayout=True`` Graphviz itself goes into the page too (``relayout.js``).
"""
