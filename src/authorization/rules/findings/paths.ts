/** Finds paths that no request for a path can have. */
import { resolveRequestInfo } from '../../../request/request-info.ts'
import { parseTarget } from '../../../request/target.ts'
import type { RequestInfo } from '../../../request/types.ts'
import { StatusError } from '../../../status.ts'
import type { AccessRule } from '../schema.ts'
import { at, certain, likely, type Finding, type ValueFinding } from './finding.ts'

/** The findings about the paths of one rule. */
export function findPaths({ nonResourceURLs = [] }: AccessRule): Finding[] {
  return nonResourceURLs.flatMap((url, i) => at(['nonResourceURLs', i], findPath(url)))
}

function findPath(url: string): ValueFinding | undefined {
  // A "*" before the end is a problem of its own.
  if (url === '*' || url.slice(0, -1).includes('*')) return undefined
  return findForm(url) ?? findResourcePath(url)
}

function findForm(url: string): ValueFinding | undefined {
  if (!url.startsWith('/')) return certain('is not a path', 'start with "/", or use "*"')
  const text = JSON.stringify(url)
  if (!url.isWellFormed()) return certain(`${text} is not valid Unicode`, 'correct the path')
  const query = url.indexOf('?')
  if (query !== -1) {
    const fix = `use ${JSON.stringify(url.slice(0, query))}`
    return certain(`${text} has a query, which rules do not see`, fix)
  }
  if (!/%[0-9a-f]{2}/i.test(url)) return undefined
  return likely(`${text} has an escape, but rules see the decoded path`, 'write it unescaped')
}

function findResourcePath(url: string): ValueFinding | undefined {
  const text = JSON.stringify(url)
  const isPrefix = url.endsWith('*')
  const path = isPrefix ? url.slice(0, -1) : url
  // What follows a prefix may complete its last segment.
  const info = resolve(isPrefix ? `${path}x` : path)
  if (info instanceof StatusError) {
    return certain(`${text} matches no request: ${info.message}`, 'correct the path')
  }
  if (!info.isResourceRequest) return undefined
  // "/api/v1/*" still matches "/api/v1/" itself.
  const shortest = isPrefix ? resolve(path) : info
  if (shortest instanceof StatusError || shortest.isResourceRequest) {
    const message = `${text} is the path of a resource, which nonResourceURLs never match`
    return certain(message, useResources(shortest instanceof StatusError ? info : shortest))
  }
  const message = `${text} does not match what is below it, which are resources`
  return likely(message, useResources({ ...info, resource: '*' }))
}

function useResources({ apiGroup, resource, subresource }: RequestInfo): string {
  const name = subresource === '' ? resource : `${resource}/${subresource}`
  return `use resources, with apiGroups: [${JSON.stringify(apiGroup)}] and resources: [${JSON.stringify(name)}]`
}

function resolve(path: string): RequestInfo | StatusError {
  try {
    return resolveRequestInfo('GET', parseTarget('GET', encodeURI(path).replaceAll('#', '%23')))
  } catch (error) {
    if (error instanceof StatusError) return error
    throw error
  }
}
