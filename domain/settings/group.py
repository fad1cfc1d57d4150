"""What every group of settings is."""

from pydantic import BaseModel, ConfigDict


class SettingsGroup(BaseModel):
    """Settings of one subject, under one prefix."""

    model_config = ConfigDict(extra="forbid", frozen=True)
