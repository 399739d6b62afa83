"""The two drawings of the pump manual."""

from reportlab.graphics.charts.lineplots import LinePlot
from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib import colors

INK = colors.HexColor("#1d2b36")
FILL = colors.HexColor("#e6ecf0")


def curve(width):
    """Head over flow, the same points as Table 4-1 of the manual."""
    drawing = Drawing(width, 190)
    plot = LinePlot()
    plot.x, plot.y, plot.width, plot.height = 45, 35, width - 80, 140
    plot.data = [[(0, 262), (6.5, 257), (12, 248), (18, 232), (24, 210), (28, 189), (32, 162)]]
    plot.lines[0].strokeColor = INK
    plot.lines[0].strokeWidth = 1.4
    plot.xValueAxis.valueMin, plot.xValueAxis.valueMax, plot.xValueAxis.valueStep = 0, 36, 4
    plot.yValueAxis.valueMin, plot.yValueAxis.valueMax, plot.yValueAxis.valueStep = 140, 280, 20
    for axis in (plot.xValueAxis, plot.yValueAxis):
        axis.labels.fontSize = 7.5
        axis.visibleGrid = 1
        axis.gridStrokeColor = colors.HexColor("#ccd4da")
    drawing.add(plot)
    drawing.add(String(width / 2 - 30, 8, "Flow, m\u00b3/h", fontSize=8))
    drawing.add(String(8, 180, "Head, m", fontSize=8))
    return drawing


def train(width):
    """The pump train seen from the side, drive end on the left."""
    drawing = Drawing(width, 120)
    parts = [(20, 38, 105, 48, "Motor 30 kW"), (125, 56, 22, 12, ""), (147, 48, 34, 28, "Coupling"),
             (181, 56, 22, 12, ""), (203, 44, 36, 36, "DE brg."), (239, 34, 150, 56, "Stages 1 to 8"),
             (389, 44, 40, 36, "NDE brg.")]
    for x, y, wide, high, text in parts:
        drawing.add(Rect(x, y, wide, high, fillColor=FILL, strokeColor=INK, strokeWidth=0.8))
        drawing.add(String(x + wide / 2, y + high / 2 - 3, text, fontSize=7.5, textAnchor="middle"))
    drawing.add(Rect(10, 18, 430, 12, fillColor=colors.white, strokeColor=INK))
    drawing.add(String(225, 21, "Base frame, grouted", fontSize=7.5, textAnchor="middle"))
    for x, text in ((258, "Suction DN 80"), (370, "Discharge DN 65")):
        drawing.add(Line(x, 90, x, 106, strokeColor=INK, strokeWidth=2))
        drawing.add(String(x, 110, text, fontSize=7.5, textAnchor="middle"))
    return drawing


DRAWINGS = {"curve": curve, "train": train}
