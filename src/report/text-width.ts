/** Widths of the letters of Inter in units of the font size, by class: enough to break lines and set a legend. */
const classes: readonly (readonly [RegExp, number])[] = [
  [/[ ijlI.,:;'|!()[\]ftr·]/, 0.32],
  [/[mwMW@%]/, 0.88],
  [/[A-Z]/, 0.68],
  [/[0-9=+−×σ]/, 0.62],
];

/** About the width of a text in Inter, in pixels; within a tenth for a line of prose. */
export function textWidth(text: string, fontSize: number): number {
  let ems = 0;
  for (const letter of text) ems += classes.find(([pattern]) => pattern.test(letter))?.[1] ?? 0.58;
  return ems * fontSize;
}

/** Breaks a text between words into lines of at most about `width` pixels; a longer word keeps its own line. */
export function wrapText(text: string, fontSize: number, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && textWidth(`${last} ${word}`, fontSize) <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}
