"""A drawn chart -> SVG that follows the reader's theme, scales with its column and says what it is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from keel.report.theme import FONT, ROLES, standalone_css
from keel.report.words import clean

SPACE = "http://www.w3.org/2000/svg"
ROLE_OF = {tones[0]: role for role, tones in ROLES.items()}
MARGIN_PX = 10
REFERENCE = re.compile(r"url\(#([^)]+)\)")


def themed(drawn: str, name: str, title: str, desc: str, css_class: str = "") -> ET.Element:
    """Colours become classes, ids become ours (several figures share a page), and title and desc come first."""
    ET.register_namespace("", SPACE)
    root = ET.fromstring(drawn)
    ids = {old: f"{name}-{place}" for place, old in enumerate(_ids(root))}
    for element in root.iter():
        _recolour(element)
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set("id", ids[value])
            elif "url(#" in value:
                element.set(key, REFERENCE.sub(lambda found: f"url(#{ids[found[1]]})", value))
            elif key in ("font-family", "aria-hidden") or key.startswith("aria-") or key in ("role", "pointer-events"):
                del element.attrib[key]
        if element.tag == f"{{{SPACE}}}text":
            element.text = clean(element.text or "")
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    if css_class:
        root.set("class", css_class)
    for place, (tag, text) in enumerate((("title", title), ("desc", desc))):
        child = ET.Element(f"{{{SPACE}}}{tag}", {"id": f"{name}-{tag}"})
        child.text = clean(text)
        root.insert(place, child)
    return root


def _ids(root: ET.Element) -> list[str]:
    return [element.attrib["id"] for element in root.iter() if "id" in element.attrib]


def _recolour(element: ET.Element) -> None:
    """Vega's class names say nothing to a reader: ours take their place."""
    classes = []
    for key, prefix in (("fill", "f"), ("stroke", "s")):
        role = ROLE_OF.get(element.get(key, ""))
        if role:
            classes.append(f"{prefix}-{role}")
            del element.attrib[key]
    element.attrib.pop("class", None)
    if classes:
        element.set("class", " ".join(classes))


def inline(root: ET.Element) -> str:
    """For a page that brings the colours."""
    return ET.tostring(root, encoding="unicode")


def standalone(root: ET.Element) -> str:
    """A file of its own: both themes inside, on a panel, so that it can be read on any background."""
    _, _, width, height = (float(part) for part in root.get("viewBox", "0 0 1 1").split())
    width, height = width + 2 * MARGIN_PX, height + 2 * MARGIN_PX
    root.set("viewBox", f"{-MARGIN_PX} {-MARGIN_PX} {width:g} {height:g}")
    root.set("width", f"{width:.0f}")
    root.set("height", f"{height:.0f}")
    root.set("font-family", FONT)
    style = ET.Element(f"{{{SPACE}}}style")
    style.text = standalone_css()
    panel = {
        "x": f"{-MARGIN_PX}",
        "y": f"{-MARGIN_PX}",
        "width": f"{width:g}",
        "height": f"{height:g}",
        "rx": "8",
        "class": "f-paper",
    }
    root.insert(2, style)
    root.insert(3, ET.Element(f"{{{SPACE}}}rect", panel))
    return ET.tostring(root, encoding="unicode") + "\n"
