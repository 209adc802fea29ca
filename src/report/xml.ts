/** Text as it may stand in XML. */
export const escapeXml = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** The text that `escapeXml` made this of. */
export const unescapeXml = (xml: string): string =>
  xml.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
