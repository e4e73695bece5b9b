/**
 * Returns text from elsewhere on one line, without control characters: a second line could imitate another message,
 * and control and format characters hide or move what is shown.
 */
export function oneLine(text: string): string {
  const lines = text.split(/[\n\v\f\r\u0085\u2028\u2029]/)
  const shown = lines.map((line) => line.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').trim())
  return shown.filter((line) => line !== '').join('; ')
}
