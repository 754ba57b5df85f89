"""PURE, but for `__main__`: what a G-code file tells before it is printed."""
