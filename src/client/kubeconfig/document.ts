/** One kubeconfig file that is changed in place: everything else in it stays, comments included. */
import { readFileSync } from 'node:fs'

import { Document, isMap, isSeq, LineCounter, parseDocument, YAMLMap, YAMLSeq } from 'yaml'

import { ClientFailure } from '../failure.ts'
import { cannotRead } from '../session/write-file.ts'

export type EntryKind = 'clusters' | 'contexts' | 'users'

export interface KubeconfigDocument {
  readonly path: string
  /** The names of the entries of a kind, in order. */
  names(kind: EntryKind): readonly string[]
  /** The content of an entry as plain data; undefined when there is none. */
  entry(kind: EntryKind, name: string): Readonly<Record<string, unknown>> | undefined
  /** Sets members of an entry, which is added if there is none; `undefined` removes a member. */
  set(kind: EntryKind, name: string, members: Readonly<Record<string, unknown>>): void
  remove(kind: EntryKind, name: string): void
  readonly currentContext: string
  setCurrentContext(name: string): void
  /** The text of the file, and whether it differs from what was read. */
  text(): string
  readonly isChanged: boolean
}

/** The member of an entry that has its content. */
const MEMBERS = { clusters: 'cluster', contexts: 'context', users: 'user' } as const

/**
 * Reads a file; one that does not exist is an empty kubeconfig.
 *
 * @throws ClientFailure when it cannot be read, or is not a kubeconfig
 */
export function readKubeconfig(path: string): KubeconfigDocument {
  return kubeconfigDocument(path, readText(path))
}

/** @param text undefined for a file that does not exist */
export function kubeconfigDocument(path: string, text: string | undefined): KubeconfigDocument {
  const document = parse(path, text ?? '')
  let isChanged = false

  function listOf(kind: EntryKind): YAMLSeq | undefined {
    const list = document.get(kind)
    if (list === undefined || list === null) return undefined
    if (isSeq(list)) return list
    throw new ClientFailure('usage', `${path}: ${kind} is not a list`)
  }

  function find(kind: EntryKind, name: string): YAMLMap | undefined {
    const items = listOf(kind)?.items ?? []
    return items.find((item): item is YAMLMap => isMap(item) && item.get('name') === name)
  }

  function add(kind: EntryKind, name: string): YAMLMap {
    let list = listOf(kind)
    if (list === undefined) {
      list = new YAMLSeq()
      document.set(kind, list)
    }
    // An empty list is written as [], which would keep its entries on one line.
    if (list.items.length === 0) list.flow = false
    const entry = document.createNode({ [MEMBERS[kind]]: {}, name }) as YAMLMap
    list.add(entry)
    return entry
  }

  return {
    path,
    names: (kind) =>
      (listOf(kind)?.items ?? []).flatMap((item) => {
        const name = isMap(item) ? item.get('name') : undefined
        return typeof name === 'string' ? name : []
      }),
    entry(kind, name) {
      const content = find(kind, name)?.get(MEMBERS[kind])
      if (content === undefined) return undefined
      return isMap(content) ? (content.toJS(document) as Record<string, unknown>) : {}
    },
    set(kind, name, members) {
      isChanged = true
      const entry = find(kind, name) ?? add(kind, name)
      if (!isMap(entry.get(MEMBERS[kind]))) entry.set(MEMBERS[kind], new YAMLMap())
      for (const [member, value] of Object.entries(members)) {
        const at = [MEMBERS[kind], member]
        if (value === undefined) entry.deleteIn(at)
        else entry.setIn(at, document.createNode(value))
      }
    },
    remove(kind, name) {
      const list = listOf(kind)
      const entry = find(kind, name)
      if (list === undefined || entry === undefined) return
      isChanged = true
      list.items.splice(list.items.indexOf(entry), 1)
    },
    get currentContext() {
      const name = document.get('current-context')
      return typeof name === 'string' ? name : ''
    },
    setCurrentContext(name) {
      if (document.get('current-context') === name) return
      isChanged = true
      document.set('current-context', name)
    },
    get isChanged() {
      return isChanged
    },
    text: () => render(document, text ?? ''),
  }
}

function parse(path: string, text: string): Document {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0])
    throw new ClientFailure('usage', `${path}:${line}:${col}: ${error.message}: correct the file`)
  }
  if (document.contents === null) {
    const empty = new Document({ apiVersion: 'v1', kind: 'Config' })
    empty.commentBefore = document.commentBefore ?? document.comment
    return empty
  }
  if (!isMap(document.contents)) throw new ClientFailure('usage', `${path} is not a kubeconfig`)
  const kind = document.get('kind')
  if (kind !== undefined && kind !== 'Config') {
    throw new ClientFailure('usage', `${path} is not a kubeconfig: kind is ${JSON.stringify(kind)}`)
  }
  return document
}

function render(document: Document, before: string): string {
  if (before.trimStart().startsWith('{') && isJSON(before)) {
    return `${JSON.stringify(document.toJS(), undefined, 2)}\n`
  }
  // kubectl does not indent lists, people may.
  const isIndented = /^(?:clusters|contexts|users):[^\n]*\n[ \t]+-/m.test(before)
  return document.toString({ lineWidth: 0, indentSeq: isIndented })
}

function isJSON(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cannotRead(path, error)
  }
}
