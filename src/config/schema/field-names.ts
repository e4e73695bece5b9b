/** Names of fields for a description, such as "`file` or `stdout`". */
export function fieldNames(fields: object): string {
  return Object.keys(fields)
    .map((field) => `\`${field}\``)
    .join(' or ')
}
