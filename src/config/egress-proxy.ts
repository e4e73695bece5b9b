/**
 * The proxy for connections out of the network, by the same environment variables and rules as Go programs
 * (golang.org/x/net/http/httpproxy), kube-apiserver among them.
 */
import { BlockList, isIP } from 'node:net'

import { ConfigError, fileProblem } from './problem.ts'

/** Values of the environment; `''` when not set. */
export interface ProxyEnvironment {
  readonly httpsProxy: string
  readonly noProxy: string
}

/** Returns the proxy for an https URL, undefined for a direct connection. */
export type ProxyFor = (url: URL) => URL | undefined

type Matcher = (host: string, port: string) => boolean

/** @param environment usually `process.env`; upper case wins, as in Go */
export function proxyFrom(
  environment: Readonly<Record<string, string | undefined>>,
): ProxyEnvironment {
  const value = (name: string): string =>
    [environment[name], environment[name.toLowerCase()]].find(
      (text) => text !== undefined && text !== '',
    ) ?? ''
  return { httpsProxy: value('HTTPS_PROXY'), noProxy: value('NO_PROXY') }
}

/** @throws ConfigError when HTTPS_PROXY is not the URL of a proxy; the problem does not quote it */
export function createProxyFor({ httpsProxy, noProxy }: ProxyEnvironment): ProxyFor {
  if (httpsProxy === '') return () => undefined
  const proxy = parseProxy(httpsProxy)
  const exceptions = noProxy
    .split(',')
    .map((entry) => matcherOf(entry.trim().toLowerCase()))
    .filter((matcher) => matcher !== undefined)
  return (url) => {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const port = url.port === '' ? '443' : url.port
    if (host === 'localhost' || isLoopback(host)) return undefined
    return exceptions.some((matches) => matches(host, port)) ? undefined : proxy
  }
}

/** Go takes a value without a scheme for the host of an http URL. */
function parseProxy(text: string): URL {
  const url = URL.parse(/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`)
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new ConfigError([
    fileProblem(
      'environment',
      'is not the URL of a proxy',
      'write http://HOST:PORT or https://HOST:PORT, or unset it',
      'HTTPS_PROXY',
    ),
  ])
}

/** One entry of NO_PROXY; undefined when it is empty or malformed, which Go ignores. */
function matcherOf(entry: string): Matcher | undefined {
  if (entry === '') return undefined
  if (entry === '*') return () => true
  const [, network = '', prefix = ''] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? []
  if (isIP(network) !== 0) return networkMatcher(network, Number(prefix))
  const { host, port } = splitPort(entry)
  if (host === '') return undefined
  const isPort = (other: string): boolean => port === '' || port === other
  const family = isIP(host)
  if (family !== 0) {
    const isAddress = networkMatcher(host, family === 4 ? 32 : 128)
    return (other, otherPort) => isPort(otherPort) && isAddress?.(other, otherPort) === true
  }
  // `example.com` includes its subdomains; `.example.com` and `*.example.com` are only those.
  const suffix = host.replace(/^\*(?=\.)/, '').replace(/^(?!\.)/, '.')
  const isExact = !/^\*?\./.test(host)
  return (other, otherPort) =>
    isPort(otherPort) && (other.endsWith(suffix) || (isExact && other === host))
}

function networkMatcher(network: string, prefix: number): Matcher | undefined {
  const family = isIP(network) === 4 ? 'ipv4' : 'ipv6'
  if (prefix > (family === 'ipv4' ? 32 : 128)) return undefined
  const list = new BlockList()
  list.addSubnet(network, prefix, family)
  return (host) => isIP(host) !== 0 && list.check(host, isIP(host) === 4 ? 'ipv4' : 'ipv6')
}

/** `host:port` and `[address]:port`; an IPv6 address without brackets has no port. */
function splitPort(entry: string): { readonly host: string; readonly port: string } {
  if (isIP(entry) !== 0) return { host: entry, port: '' }
  const [, inBrackets, plain, port = ''] = /^(?:\[(.*)\]|([^:]*))(?::(.*))?$/.exec(entry) ?? []
  return { host: inBrackets ?? plain ?? '', port }
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

function isLoopback(host: string): boolean {
  const family = isIP(host)
  return family !== 0 && LOOPBACK.check(host, family === 4 ? 'ipv4' : 'ipv6')
}
