"""A picture of several generated clips, a few frames of each."""

import numpy as np
from PIL import Image, ImageDraw

FRAME_STEP = 4
COLUMNS = 2
GAP, LABEL_HEIGHT = 4, 16
COLOURS_IN_FILE = 128


def save_contact_sheet(path, clips, prompts):
    strips = [np.concatenate(list(clip[::FRAME_STEP]), axis=1) for clip in clips]
    height, width = strips[0].shape[:2]
    cell_width, cell_height = width + GAP, height + LABEL_HEIGHT + GAP
    rows = (len(clips) + COLUMNS - 1) // COLUMNS
    sheet = Image.new("RGB", (COLUMNS * cell_width + GAP, rows * cell_height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (strip, prompt) in enumerate(zip(strips, prompts)):
        row, column = divmod(index, COLUMNS)
        left, top = GAP + column * cell_width, GAP + row * cell_height
        draw.text((left, top), prompt, fill="black")
        sheet.paste(Image.fromarray(strip), (left, top + LABEL_HEIGHT))
    sheet.quantize(COLOURS_IN_FILE).save(path, optimize=True)
