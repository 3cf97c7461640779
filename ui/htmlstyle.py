"""The look of a report's page, light and dark. Plotly writes its colours into its SVG; these go over them."""

STYLE = """
:root { --text: #1b2733; --quiet: #56636f; --back: #fff; --panel: #f4f6f8; --line: #dde3e8; --green: #00704f;
  --red: #a32019; --yellow: #7a5200; }
@media (prefers-color-scheme: dark) { :root { --text: #e4eaf0; --quiet: #9fb0bf; --back: #10161d; --panel: #18212b;
  --line: #2c3844; --green: #3fcf9f; --red: #ff8a80; --yellow: #f0b95a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 1100px;
  margin: 2em auto; padding: 0 1em; overflow-wrap: break-word; }
h1 { font-size: 1.7em; margin-bottom: 0; } h2 { font-size: 1.2em; margin: 2.2em 0 .5em; }
.quiet { color: var(--quiet); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: .8em; margin: 1.4em 0 .4em; }
.cards div { border: 1px solid var(--line); border-radius: 6px; padding: .6em .9em; }
dt { color: var(--quiet); font-size: .87em; } dd { margin: 0; font-size: 1.25em; font-variant-numeric: tabular-nums; }
.warnings { border-left: 4px solid var(--yellow); background: var(--panel); padding: .5em 1em; }
.warnings ul { margin: .2em 0; padding-left: 1.2em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .9em; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; background: var(--panel); } th.text, td.text { text-align: left; }
td, th { white-space: nowrap; } .long td.text + td { white-space: normal; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1em; }
@media (max-width: 900px) { .charts { grid-template-columns: minmax(0, 1fr); } }
pre { background: var(--panel); padding: 1em; overflow-x: auto; font-size: 13px; line-height: 1.4; }
.bold { font-weight: 600; } .dim { color: var(--quiet); }
.green { color: var(--green); } .red { color: var(--red); } .yellow { color: var(--yellow); }
summary { cursor: pointer; }
.js-plotly-plot .infolayer text, .js-plotly-plot .cartesianlayer text { fill: var(--text) !important; }
.js-plotly-plot .gridlayer path, .js-plotly-plot .zerolinelayer path { stroke: var(--line) !important; }
@media print { .js-plotly-plot { break-inside: avoid; } }
"""
