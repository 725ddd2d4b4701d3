"""A rule beside its rivals: what calling it costs."""
