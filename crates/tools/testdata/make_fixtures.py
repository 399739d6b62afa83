"""Makes the reader fixtures; run once, results are checked in."""
import io, os, sys, struct, zipfile
from reportlab.pdfgen import canvas
from reportlab.lib.pagesizes import A4, letter
from reportlab.platypus import *
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib import colors
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
import pikepdf
from PIL import Image, ImageDraw
out = sys.argv[1]; os.makedirs(out, exist_ok=True)
P = lambda n: os.path.join(out, n)
LEFT = ["The left column tells how the feedwater pump", "is started from the local panel. First open the", "suction valve, then vent the casing until clear", "water comes from the vent. Press the green", "button and watch the motor current while the", "pump runs up to its rated speed.", "The last line of the left column ends here."]
RIGHT = ["The right column tells how the pump is stopped.", "Close the discharge valve slowly to one quarter,", "press the red button and wait until the shaft", "stands still. Then close the suction valve and", "open the drain, if frost is to be expected in", "the pump house during the night.", "The last line of the right column ends here."]
def two_columns():
    c = canvas.Canvas(P("two_columns.pdf"), pagesize=A4, invariant=1)
    c.setTitle("Two-column sheet")
    c.setFont("Helvetica-Bold", 18); c.drawString(60, 780, "Starting and stopping the feedwater pump P-101A")
    c.setFont("Times-Roman", 11)
    # interleaved in the file, as some producers write
    for i,(l,r) in enumerate(zip(LEFT, RIGHT)):
        c.drawString(60, 740-14*i, l); c.drawString(320, 740-14*i, r)
    c.save()
two_columns()
def rotated():
    c = canvas.Canvas(P("rotated.pdf"), pagesize=A4, invariant=1)
    # page 1: /Rotate 90, upright when displayed
    c.setPageRotation(90); c.saveState(); c.rotate(90); c.setFont("Helvetica", 12)
    for i in range(6): c.drawString(60, -100-16*i, f"Row {i} of the landscape page shown turned by the viewer")
    c.restoreState(); c.showPage()
    # page 2: unrotated page with text running upwards
    c.setPageRotation(0); c.saveState(); c.rotate(90); c.setFont("Helvetica", 12)
    for i in range(6): c.drawString(60, -100-16*i, f"Row {i} of text that runs upwards on an upright page")
    c.restoreState(); c.showPage()
    c.save()
rotated()
def table_story():
    st = getSampleStyleSheet()
    d = SimpleDocTemplate(P("tables.pdf"), pagesize=A4, title="Microsoft Word - tables.doc", invariant=1)
    grid = Table([["Tag","Service","Range"],["PIT-1001",Paragraph("Discharge pressure of the feedwater pump, measured behind the check valve",st["Normal"]),"0-25 bar"],["TIT-1021","Bearing temperature","0-150 °C"]], colWidths=[80,180,80])
    grid.setStyle(TableStyle([("GRID",(0,0),(-1,-1),0.5,colors.black),("BACKGROUND",(0,0),(-1,0),colors.Color(0,0,0.4)),("TEXTCOLOR",(0,0),(-1,0),colors.white)]))
    plain = Table([["Grade","Interval","Quantity"],["VG 46","4,000 h","1.2 L"],["VG 68","8,000 h","0.8 L"],["EP 2","2,000 h","30 g"]], colWidths=[90,90,90])
    d.build([Paragraph("Instruments and oils",st["Title"]),Paragraph("1 Instruments",st["Heading1"]),Paragraph("The instruments of the pump set are listed here with their service and their range.",st["Normal"]),Spacer(1,8),grid,Paragraph("2 Lubrication",st["Heading1"]),Paragraph("Change the oil as the table says, and write it down in the log of the machine.",st["Normal"]),Spacer(1,8),plain])
table_story()
def running():
    c = canvas.Canvas(P("headers.pdf"), pagesize=A4, invariant=1)
    for n in range(1,6):
        c.setFont("Helvetica", 9); c.drawString(60, 810, "TM-0345 Rev. 3   Boiler house"); c.drawString(280, 30, f"Page {n} of 5")
        c.setFont("Helvetica", 11)
        for i in range(8): c.drawString(60, 740-15*i, f"Sentence {i} on sheet {n} has its own words alpha{n}x{i} and omega{n}x{i}.")
        c.showPage()
    c.save()
    with pikepdf.open(P("headers.pdf"), allow_overwriting_input=True) as pdf:
        pdf.Root.PageLabels = pikepdf.Dictionary(Nums=pikepdf.Array([0, pikepdf.Dictionary(S=pikepdf.Name.r), 2, pikepdf.Dictionary(S=pikepdf.Name.D, P=pikepdf.String("A-"))]))
        pdf.save(P("headers.pdf"), deterministic_id=True)
running()
def simple(name, lines, size=12):
    c = canvas.Canvas(P(name), pagesize=A4, invariant=1); c.setFont("Helvetica", size)
    for i,l in enumerate(lines): c.drawString(60, 760-16*i, l)
    c.save()
simple("base.pdf", ["The pump P-101A stands in Building 12.", "Its seal is of the type BX-50."])
with pikepdf.open(P("base.pdf")) as pdf:
    pdf.save(P("password.pdf"), encryption=pikepdf.Encryption(user="secret", owner="owner", R=6))
with pikepdf.open(P("base.pdf")) as pdf:
    pdf.save(P("empty_password.pdf"), encryption=pikepdf.Encryption(user="", owner="owner", R=6))
with pikepdf.open(P("base.pdf")) as pdf:
    pdf.save(P("empty_password_rc4.pdf"), encryption=pikepdf.Encryption(user="", owner="owner", R=3, aes=False, metadata=False))
with pikepdf.open(P("base.pdf")) as pdf:
    pdf.save(P("password_rc4.pdf"), encryption=pikepdf.Encryption(user="secret", owner="owner", R=3, aes=False, metadata=False))
with pikepdf.open(P("base.pdf")) as pdf:
    pdf.save(P("object_streams.pdf"), object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
b = open(P("base.pdf"),"rb").read()
i = b.rindex(b"startxref"); open(P("broken_xref.pdf"),"wb").write(b[:i]+b"startxref\n99999999\n%%EOF\n")
def image():
    im = Image.new("L",(600,800),255); d=ImageDraw.Draw(im)
    for k in range(20): d.rectangle([60,60+30*k,500,70+30*k], fill=40)
    return im
def scanned():
    im=image(); c = canvas.Canvas(P("scanned.pdf"), pagesize=A4, invariant=1); c.drawInlineImage(im,0,0,595,842); c.showPage(); c.save()
    c = canvas.Canvas(P("scanned_with_layer.pdf"), pagesize=A4, invariant=1); c.drawInlineImage(im,0,0,595,842)
    t=c.beginText(60,700); t.setFont("Helvetica",12); t.setTextRenderMode(3); t.textLine("Recognized words of the scanned log sheet"); c.drawText(t); c.showPage(); c.save()
    c = canvas.Canvas(P("scanned_and_text.pdf"), pagesize=A4, invariant=1); c.setFont("Helvetica",12); c.drawString(60,760,"The first page has text."); c.showPage(); c.drawInlineImage(im,0,0,595,842); c.showPage(); c.save()
scanned()
def hidden():
    c = canvas.Canvas(P("hidden.pdf"), pagesize=A4, invariant=1); c.setFont("Helvetica",12)
    c.drawString(60,760,"Visible words stay in the text.")
    c.setFillColorRGB(1,1,1); c.drawString(60,740,"whitewords are printed in white")
    c.setFillColorRGB(0,0,0.5); c.rect(50,690,300,30,stroke=0,fill=1); c.setFillColorRGB(1,1,1); c.drawString(60,700,"headerwords stand white on blue")
    c.setFillColorRGB(0,0,0); t=c.beginText(60,660); t.setTextRenderMode(3); t.textLine("modewords are invisible"); c.drawText(t)
    c.drawString(60,2000,"offwords lie above the page"); c.setFont("Helvetica",0.2); c.drawString(60,600,"tinywords nobody can read"); c.save()
hidden()
def raw(name, fonts, content, extra=b""):
    objs=[b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<<"+b"".join(b"/F%d %d 0 R "%(k+1,5+k) for k in range(len(fonts)))+b">>>>>>", b"<</Length %d>>stream\n"%len(content)+content+b"\nendstream"]+fonts
    o=io.BytesIO(); o.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"); offs=[]
    for k,x in enumerate(objs): offs.append(o.tell()); o.write(b"%d 0 obj\n"%(k+1)+x+b"\nendobj\n")
    x=o.tell(); o.write(b"xref\n0 %d\n0000000000 65535 f \n"%(len(objs)+1)+b"".join(b"%010d 00000 n \n"%f for f in offs)+b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"%(len(objs)+1,x))
    open(P(name),"wb").write(o.getvalue())
raw("ligatures.pdf",[b"<</Type/Font/Subtype/Type1/BaseFont/XXAAAA+CMR10/FirstChar 11/LastChar 15/Widths[583 556 556 833 833]/Encoding<</Type/Encoding/Differences[11/ff/fi/fl/ffi/ffl]>>>>",b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"],
 b"BT /F2 12 Tf 60 760 Td (The ) Tj /F1 12 Tf (\\014) Tj /F2 12 Tf (rst e) Tj /F1 12 Tf (\\016) Tj /F2 12 Tf (cient o) Tj /F1 12 Tf (\\013) Tj /F2 12 Tf (ice has a sta) Tj /F1 12 Tf (\\013) Tj /F2 12 Tf ( ) Tj /F1 12 Tf (\\015) Tj /F2 12 Tf (oor.) Tj ET")
fontfile=b"%!PS-AdobeFont-1.0: CMR10\n/Encoding 256 array\n0 1 255 {1 index exch /.notdef put} for\ndup 12 /fi put\ndup 13 /fl put\ndup 101 /e put\ndup 108 /l put\ndup 114 /r put\ndup 115 /s put\ndup 116 /t put\nreadonly def\ncurrentfile eexec\n"+bytes(range(128,228))
raw("old_type1.pdf",[b"<</Type/Font/Subtype/Type1/BaseFont/CMR10/FirstChar 12/LastChar 13/Widths[556 556]/FontDescriptor 6 0 R>>",b"<</Type/FontDescriptor/FontName/CMR10/Flags 4/MissingWidth 500/FontFile 7 0 R>>",b"<</Length %d/Length1 %d/Length2 100/Length3 0>>stream\n"%(len(fontfile),len(fontfile)-100)+fontfile+b"\nendstream"],
 b"BT /F1 12 Tf 60 760 Td [(\\014rst)-333(\\014le)-333(\\015et)] TJ ET")
def letterwise():
    c = canvas.Canvas(P("letter_by_letter.pdf"), pagesize=A4, invariant=1); c.setFont("Times-Roman",12); x=60
    for ch in "Each letter is placed by itself":
        if ch!=" ": c.drawString(x,760,ch)
        x+=c.stringWidth(ch,"Times-Roman",12)
    c.save()
letterwise()
def cjk():
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light")); pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    c = canvas.Canvas(P("cjk.pdf"), pagesize=A4, invariant=1); c.setFont("STSong-Light",12); c.drawString(60,760,"压力变送器 PIT-1001"); c.setFont("HeiseiMin-W3",12); c.drawString(60,740,"ポンプの運転"); c.save()
cjk()
# ---- DOCX
from docx import Document
from docx.shared import RGBColor
from docx.oxml import parse_xml, OxmlElement
from docx.oxml.ns import nsdecls, qn
d = Document()
d.core_properties.title = "Seal replacement"
d.sections[0].header.paragraphs[0].text = "Northfield header text"
d.sections[0].footer.paragraphs[0].text = "Controlled footer text"
d.add_heading("Seal replacement", 0)
d.add_heading("Preparation", 1)
st = d.styles.add_style("Werkskapitel", 1); st.base_style = d.styles["Heading 2"]
d.add_paragraph("Werkzeuge", style="Werkskapitel")
st2 = d.styles.add_style("Anlage", 1); ppr = st2.element.get_or_add_pPr(); ppr.append(parse_xml(f'<w:outlineLvl {nsdecls("w")} w:val="1"/>'))
for t in ["Close the valve", "Lock the breaker"]: d.add_paragraph(t, style="List Number")
for t in ["Gloves", "Face shield"]: d.add_paragraph(t, style="List Bullet")
d.add_paragraph("Checklist", style="Anlage")
t = d.add_table(rows=3, cols=2); t.style = "Table Grid"
for r,(a,b) in enumerate([("Part","Number"),("Seal BX-50","4711"),("O-ring","4712")]):
    t.cell(r,0).text=a; t.cell(r,1).text=b
inner = t.cell(2,1).add_table(rows=1, cols=2); inner.cell(0,0).text="innerleft"; inner.cell(0,1).text="innerright"
p = d.add_paragraph("Text with a ")
p._p.append(parse_xml(f'<w:ins {nsdecls("w")} w:id="1" w:author="a"><w:r><w:t>insertedword</w:t></w:r></w:ins>'))
p._p.append(parse_xml(f'<w:del {nsdecls("w")} w:id="2" w:author="a"><w:r><w:delText>deletedword</w:delText></w:r></w:del>'))
r = p.add_run(" hiddenword"); r.font.hidden = True
r = p.add_run(" whiteword"); r.font.color.rgb = RGBColor(255,255,255)
p.add_run(" and an end.")
p2 = d.add_paragraph("See ")
rid = d.part.relate_to("https://example.com/x", "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink", is_external=True)
p2._p.append(parse_xml(f'<w:hyperlink {nsdecls("w","r")} r:id="{rid}"><w:r><w:t>linkedword</w:t></w:r></w:hyperlink>'))
p2._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:fldChar w:fldCharType="begin"/></w:r>')); p2._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:instrText>REF codeword</w:instrText></w:r>')); p2._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:fldChar w:fldCharType="separate"/></w:r>')); p2._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:t>resultword</w:t></w:r>')); p2._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:fldChar w:fldCharType="end"/></w:r>'))
box = '<w:txbxContent><w:p><w:r><w:t>boxword</w:t></w:r></w:p></w:txbxContent>'
p3 = d.add_paragraph("A paragraph with a text box.")
p3._p.append(parse_xml('<w:r %s xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml"><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:txbx>%s</wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox>%s</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>'%(nsdecls("w"),box,box)))
p4 = d.add_paragraph("A statement with a note")
p4._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:footnoteReference w:id="2"/></w:r>'))
d.add_comment(p4.runs[0], text="commentword") if hasattr(d,"add_comment") else None
d.add_page_break(); d.add_heading("After the break", 1); d.add_paragraph("Text of the second part.")
from docx.opc.part import Part; from docx.opc.packuri import PackURI
fn = ('<?xml version="1.0" encoding="UTF-8"?><w:footnotes %s><w:footnote w:type="separator" w:id="0"><w:p/></w:footnote><w:footnote w:id="2"><w:p><w:r><w:t>footnoteword explains it.</w:t></w:r></w:p></w:footnote></w:footnotes>'%nsdecls("w")).encode()
part = Part(PackURI("/word/footnotes.xml"),"application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml",fn,d.part.package)
d.part.relate_to(part,"http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes")
d.save(P("features.docx"))
# bomb: a document part of 60 MB of spaces
z = zipfile.ZipFile(P("bomb.docx"),"w",zipfile.ZIP_DEFLATED,compresslevel=9)
z.writestr("[Content_Types].xml",'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>')
z.writestr("word/document.xml", "<w:document xmlns:w='w'><w:body>"+" "*(60<<20)+"</w:body></w:document>"); z.close()
z = zipfile.ZipFile(P("entities.docx"),"w",zipfile.ZIP_DEFLATED)
z.writestr("[Content_Types].xml",'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>')
z.writestr("word/document.xml", "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><w:document xmlns:w='w'><w:body><w:p><w:r><w:t>&b;</w:t></w:r></w:p></w:body></w:document>"); z.close()
for n in sorted(os.listdir(out)): print(n, os.path.getsize(P(n)))
