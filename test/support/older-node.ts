/** A value of NODE_OPTIONS with which Node reports another version, such as `20.20.2`. */
export function asNode(version: string): string {
  const versions = `Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`
  const own = `Object.defineProperty(process,'version',{value:'v${version}'})`
  return `--import=data:text/javascript,${encodeURIComponent(`${versions};${own}`)}`
}
