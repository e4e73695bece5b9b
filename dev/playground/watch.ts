/** `watch=true`: the existing objects, then every change, one JSON object per line. */
import type { Writable } from 'node:stream'
import { apiVersionOf } from './kinds.ts'
import type { Json, KubernetesObject } from './objects.ts'
import type { Route } from './route.ts'
import type { Matches } from './selectors.ts'
import { Refusal } from './status.ts'
import type { Change, Store } from './store.ts'

export interface WatchOptions {
  readonly store: Store
  readonly route: Route
  readonly query: URLSearchParams
  readonly matches: Matches
  /** The form that the client requested: the object itself, or a Table of one row. */
  readonly present: (object: KubernetesObject) => Json
}

/** Writes events until the reader disconnects or `timeoutSeconds` have passed. */
export function writeWatch(options: WatchOptions, out: Writable): void {
  const { store, route, query, present } = options
  const send = (type: string, object: Json): void => {
    out.write(`${JSON.stringify({ type, object })}\n`)
  }
  const version = query.get('resourceVersion') ?? ''
  const initial = version === '' || version === '0' || query.get('sendInitialEvents') === 'true'
  const matches = matcher(options)
  try {
    const since = initial ? store.version : Number(version)
    if (initial) {
      for (const object of store.list(route.kind, route.namespace)) {
        if (matches(object)) send('ADDED', present(object))
      }
      if (query.get('sendInitialEvents') === 'true') send('BOOKMARK', bookmark(options))
    }
    const stop = store.watch(since, (change) => {
      if (change.kind.resource !== route.kind.resource) return
      const event = eventOf(change, matches)
      if (event !== undefined) send(event.type, present(event.object))
    })
    out.once('close', stop)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    send('ERROR', error.body() as Json)
    out.end()
    return
  }
  endAfter(out, Number(query.get('timeoutSeconds') ?? 0))
}

function matcher({ route, matches }: WatchOptions): Matches {
  const { namespace, name } = route
  return (object) =>
    (namespace === '' || object.metadata.namespace === namespace) &&
    (name === '' || object.metadata.name === name) &&
    matches(object)
}

/** Marks the end of the initial events (KEP 3157). */
function bookmark({ store, route }: WatchOptions): Json {
  return {
    kind: route.kind.kind,
    apiVersion: apiVersionOf(route.kind),
    metadata: {
      resourceVersion: String(store.version),
      annotations: { 'k8s.io/initial-events-end': 'true' },
    },
  }
}

/** The event for a change. With a selector, a modification may add or delete an object. */
function eventOf(
  { before, after, version }: Change,
  matches: Matches,
): { type: string; object: KubernetesObject } | undefined {
  const was = before !== undefined && matches(before)
  if (after !== undefined && matches(after)) {
    return { type: was ? 'MODIFIED' : 'ADDED', object: after }
  }
  if (!was) return undefined
  const metadata = { ...before.metadata, resourceVersion: String(version) }
  return { type: 'DELETED', object: { ...before, metadata } }
}

function endAfter(out: Writable, seconds: number): void {
  if (!(seconds > 0 && seconds < 1e6)) return
  const timer = setTimeout(() => out.end(), seconds * 1000)
  out.once('close', () => clearTimeout(timer))
}
