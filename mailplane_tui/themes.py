"""Colours: one dark and one light theme that a colour-blind person can tell states apart in.

The hues follow Okabe and Ito (2008), with the lightness moved until each has a contrast of at
least 4.5 : 1 on its background. Colour never stands alone: a glyph and a word say the same.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

DARK: Final = Theme(
    name="mailplane-dark",
    primary="#56b4e9",
    secondary="#8fa3b5",
    warning="#e69f00",
    error="#ff7b3a",
    success="#2fb98f",
    accent="#56b4e9",
    foreground="#d7dce2",
    background="#10151b",
    surface="#10151b",
    panel="#1a222b",
    dark=True,
    variables={
        "role-dim": "#8592a0",
        "role-strong": "#ffffff",
        "role-title": "#9fd3f5",
        "role-near": "#e6a21a",
        "role-full": "#56b4e9",
        "role-held": "#ff7b3a",
        "role-sent": "#8fb8d4",
        "role-unknown": "#e58fc0",
        "role-waiting": "#6f8296",
        "role-live": "#2fb98f",
        "cursor": "#22303d",
    },
)

LIGHT: Final = Theme(
    name="mailplane-light",
    primary="#00609c",
    secondary="#4a5866",
    warning="#8a5a00",
    error="#b34000",
    success="#00705a",
    accent="#00609c",
    foreground="#1d242b",
    background="#fbfbf9",
    surface="#fbfbf9",
    panel="#e9ecef",
    dark=False,
    variables={
        "role-dim": "#5d6975",
        "role-strong": "#000000",
        "role-title": "#00558a",
        "role-near": "#8a5a00",
        "role-full": "#00609c",
        "role-held": "#b34000",
        "role-sent": "#3f7396",
        "role-unknown": "#a0306f",
        "role-waiting": "#7d8a96",
        "role-live": "#00705a",
        "cursor": "#d8e4ee",
    },
)

PLAIN: Final = "ansi-dark"
"""The theme for NO_COLOR: with native colours Textual strips every colour code."""

DEFAULTS: Final = dict.fromkeys(
    (name for name in DARK.variables if name.startswith("role-")), "ansi_default"
) | {"cursor": "ansi_default"}
"""Variables for themes that aren't ours."""
