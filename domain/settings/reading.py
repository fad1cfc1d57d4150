"""Read the settings from the environment, and write them into a child's."""

import json
import os
from difflib import get_close_matches

from pydantic import SecretStr, ValidationError

from domain.errors import ConfigurationError
from domain.settings.groups import SettingsGroup
from domain.settings.settings import DELIMITER, PREFIX, Settings

#: Variables of the test suite, which are not settings of the product.
TEST_PREFIX = "QUORUM_TEST_"


def setting_names() -> dict[str, str]:
    """Return environment variable → description for every setting."""
    names: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, SettingsGroup):
            for inner_name, inner_field in inner.model_fields.items():
                key = f"{PREFIX}{name}{DELIMITER}{inner_name}".upper()
                names[key] = inner_field.description or ""
        else:
            names[f"{PREFIX}{name}".upper()] = field.description or ""
    return names


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment; `overrides` win.

    Raises
    ------
    ConfigurationError
        If a ``QUORUM_*`` variable has an unknown name or a value of the wrong type.
    """
    known = setting_names()
    for name in sorted(os.environ):
        if name.upper().startswith(TEST_PREFIX):
            continue
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), list(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else "See `quorum doctor --settings`."
            raise ConfigurationError(f"{name} is not a setting of Quorum.", next_step=hint)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as problem:
        first = problem.errors()[0]
        name = PREFIX + DELIMITER.join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"{name} has a wrong value: {first['msg'].removeprefix('Value error, ')} "
            f"(got {str(first['input'])!r}).",
            next_step=f"{known.get(name, 'See `quorum doctor --settings`.')} Mend or unset it.",
        ) from None


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which a child process reads these settings again.

    Secrets are among them, so hand it to a child's environment and nowhere else.
    """
    variables: dict[str, str] = {}
    for name, value in settings:
        key = f"{PREFIX}{name}".upper()
        if isinstance(value, SettingsGroup):
            for inner_name, inner_value in value:
                if inner_value is not None:
                    variables[f"{key}{DELIMITER}{inner_name}".upper()] = _text(inner_value)
        elif value is not None:
            variables[key] = _text(value)
    return variables


def _text(value: object) -> str:
    if isinstance(value, dict | tuple):
        return json.dumps(value)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
