"""The errors that vjpkit raises: one class per kind of mistake, so that callers can tell them apart."""


class ShapeError(ValueError):
    """An argument's shape does not fit the function."""


class DtypeError(TypeError):
    """An argument's dtype does not fit the function, or is not that of its neighbours."""


class RuleError(TypeError):
    """A rule is declared wrongly, or one of its maps answers with the wrong structure, shape or dtype."""


class RegistrationError(ValueError):
    """Two rules claim one name."""
