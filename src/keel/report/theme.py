"""Colours by role, in light and dark, and the page's style sheet. One accent, one warning, greys; safe for the
colour-blind (blue against orange), and never the only sign of anything."""

from __future__ import annotations

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"

# role -> (what a chart is drawn with, light, dark). Charts are drawn in marks of a colour nobody uses, which
# svg.py turns into classes, so that one drawing serves both themes.
ROLES = {
    "paper": ("#01fe01", "#ffffff", "#0d1117"),
    "ink": ("#01fe02", "#1f2328", "#e6edf3"),
    "muted": ("#01fe03", "#59636e", "#9198a1"),
    "line": ("#01fe04", "#d1d9e0", "#30363d"),
    "band": ("#01fe05", "#e1e6ec", "#272e37"),
    "dot": ("#01fe06", "#6e7781", "#8b949e"),
    "accent": ("#01fe07", "#0b5cad", "#6cb6ff"),
    "pale": ("#01fe08", "#b6d4f2", "#1f4b7a"),
    "warn": ("#01fe09", "#a84300", "#f0a35e"),
}  # fmt: skip


def mark(role: str) -> str:
    """The stand-in colour of a role."""
    return ROLES[role][0]


def figure_css() -> str:
    """Fill and stroke classes of the figures, from the page's variables."""
    return "".join(f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role})}}" for role in ROLES)


def standalone_css() -> str:
    """The same with the colours written out, for a picture outside a page."""

    def rules(theme: int) -> str:
        return "".join(
            f".f-{role}{{fill:{tones[theme]}}}.s-{role}{{stroke:{tones[theme]}}}" for role, tones in ROLES.items()
        )

    return f"{rules(1)}@media (prefers-color-scheme:dark){{{rules(2)}}}"


def page_css() -> str:
    """The whole style sheet."""
    light = ";".join(f"--{role}:{tones[1]}" for role, tones in ROLES.items())
    dark = ";".join(f"--{role}:{tones[2]}" for role, tones in ROLES.items())
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"body{{font-family:{FONT}}}{PAGE}{figure_css()}{PRINT}"
    )


PAGE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font-size:16px;line-height:1.55}
main{max-width:50rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
.kicker{margin:0 0 1.75rem;color:var(--muted);font-size:.875rem}
.answer{margin:0 0 1rem;font-size:1.625rem;line-height:1.3;font-weight:600;letter-spacing:-.012em;text-wrap:balance}
.lead{margin:0 0 .6rem;max-width:44rem}
.nb{white-space:nowrap}
h2{margin:2.75rem 0 .75rem;padding-top:1.1rem;border-top:1px solid var(--line);font-size:1.2rem;line-height:1.3;
letter-spacing:-.005em}
h3{margin:1.75rem 0 .4rem;font-size:1rem}
p,ul,ol,dl,table,figure{margin:0 0 1rem}
ul,ol{padding-left:1.2rem}
li{margin:.35rem 0}
a{color:var(--accent);text-underline-offset:.15em;overflow-wrap:anywhere}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86em;overflow-wrap:anywhere}
pre{margin:0 0 1rem;padding:.8rem 1rem;background:var(--band);border-radius:6px;overflow-x:auto}
pre code{overflow-wrap:normal}
.muted{color:var(--muted)}
.hit{color:var(--accent);font-weight:600}
.miss,.bad{color:var(--warn);font-weight:600}
.tag{display:inline-block;padding:0 .45em;border:1px solid currentColor;border-radius:999px;font-size:.75rem;
font-weight:500;line-height:1.5;white-space:nowrap;vertical-align:.06em}
figure{margin:1.25rem 0 1.5rem}
figure svg{display:block;width:100%;height:auto}
figure .narrow{display:none}
svg text{font-family:inherit}
figcaption{margin-top:.5rem;color:var(--muted);font-size:.875rem;line-height:1.45}
details{margin:.5rem 0 1rem;font-size:.9375rem}
summary{color:var(--muted);font-size:.875rem;cursor:pointer}
details[open]>summary{margin-bottom:.5rem}
.scroll{overflow-x:auto;margin:0 0 1rem}
.scroll table{margin:0}
table{width:100%;border-collapse:collapse;font-size:.875rem;line-height:1.4;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{color:var(--muted);font-weight:500;vertical-align:bottom}
th:last-child,td:last-child{padding-right:0}
td.n,th.n{text-align:right;white-space:nowrap}
td.id{overflow-wrap:anywhere;min-width:7rem}
tr.held td:first-child{font-weight:600}
td.id code{white-space:nowrap}
.dense td.id code{white-space:normal}
.dense th,.dense td{padding-right:.5rem}
td .note{display:block;font-weight:400}
td .note.hit,td .note.miss{font-weight:600}
.facts{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.3rem 1.25rem}
.facts dt{color:var(--muted)}
.facts dd{margin:0;overflow-wrap:anywhere}
.numbers{list-style:none;padding:0}
.numbers li{margin:0;padding:.6rem 0;border-bottom:1px solid var(--line)}
.numbers b{font-weight:600}
.numbers .how{display:block;color:var(--muted);font-size:.875rem;overflow-wrap:anywhere}
.track{display:block;min-width:5rem;height:.55rem;margin-top:.35rem;background:var(--band);border-radius:2px;overflow:hidden}
.track i{display:block;height:100%;background:var(--accent);print-color-adjust:exact;-webkit-print-color-adjust:exact}
.group{margin:0 0 1rem;break-inside:avoid}
.group p{margin:0 0 .35rem;font-size:.9375rem}
.sheet{display:flex;flex-wrap:wrap;gap:.5rem;margin:0;padding:0;list-style:none}
.sheet li{margin:0}
.sheet.wide{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));gap:1rem .9rem}
.sheet.wide li{break-inside:avoid}
.sheet.wide span{display:block;margin-top:.3rem;color:var(--muted);font-size:.8125rem;line-height:1.35;
overflow-wrap:anywhere}
img{display:block;object-fit:contain;background:var(--band);border-radius:3px;outline:1px solid var(--line);
print-color-adjust:exact;-webkit-print-color-adjust:exact}
.swatch{display:inline-block;width:.9em;height:.9em;border:1px solid var(--line);vertical-align:-.1em}
.asked{padding:0;list-style:none}
.asked li{margin:0;padding:.7rem 0;border-bottom:1px solid var(--line);break-inside:avoid}
.asked p{margin:0 0 .45rem;overflow-wrap:anywhere}
.strips{display:grid;grid-template-columns:1fr 1fr;gap:.5rem 1.5rem}
.strip .who{display:block;color:var(--muted);font-size:.8125rem}
.strip .row{display:flex;flex-wrap:wrap;gap:.1rem;margin-left:-6px}
.found{position:relative;display:block;padding:3px;border:3px solid transparent;border-radius:6px}
.found.right{border-color:var(--accent)}
.found b{position:absolute;right:-6px;top:-8px;min-width:1.15rem;border-radius:999px;background:var(--accent);
color:var(--paper);font-size:.75rem;line-height:1.15rem;text-align:center;print-color-adjust:exact;
-webkit-print-color-adjust:exact}
@media (max-width:34rem){
main{padding:1.5rem 1rem 3rem}
.answer{font-size:1.35rem}
.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin:0 0 .6rem}
td.id code{white-space:normal}
figure .wide{display:none}
.strips{grid-template-columns:1fr}
.sheet.wide{grid-template-columns:repeat(auto-fill,minmax(8rem,1fr))}
figure .narrow{display:block}
}
"""

PRINT = """
@media print{
@page{margin:18mm 16mm}
body{font-size:10.5pt}
main{max-width:none;padding:0}
h2{margin-top:1.6rem}
h2,h3{break-after:avoid}
figure,tr,.numbers li{break-inside:avoid}
.scroll{overflow:visible}
figure .wide{display:block}
figure .narrow{display:none}
details{display:none}
details[open],details.law{display:block}
details.law::details-content{content-visibility:visible;display:block;block-size:auto}
a{color:inherit}
}
"""
