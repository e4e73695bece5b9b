/** The lines of `/metrics` that begin with one of these names, without the comments. */
export async function scrape(
  { probesUrl }: { readonly probesUrl: string },
  ...names: readonly string[]
): Promise<readonly string[]> {
  const text = await (await fetch(`${probesUrl}/metrics`)).text()
  return text.split('\n').filter((line) => names.some((name) => line.startsWith(name)))
}
