/** The `meta.k8s.io/v1` Table, which `kubectl get` requests. */
import type { Kind } from './kinds.ts'
import type { Json, KubernetesObject } from './objects.ts'

/** Whether the first supported media type in an Accept header is a Table. */
export function wantsTable(accept: string): boolean {
  const first = accept.split(',').find((range) => {
    const known = /^\s*(application\/(json|\*)|\*\/\*)/.test(range)
    return known && (!range.includes(';as=') || isTable(range))
  })
  return first !== undefined && isTable(first)
}

function isTable(range: string): boolean {
  return ['as=Table', 'v=v1', 'g=meta.k8s.io'].every((parameter) =>
    range.split(';').some((part) => part.trim() === parameter),
  )
}

/** How much of each object a row contains: the query parameter `includeObject`. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

/** The table of objects of one kind. Each event of a watch is a table of one row. */
export function tableOf(
  kind: Kind,
  objects: readonly KubernetesObject[],
  resourceVersion: string,
  include: IncludeObject,
): Json {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { resourceVersion },
    columnDefinitions: kind.columns.map(({ name, priority }) => ({
      name,
      type: 'string',
      format: name === 'Name' ? 'name' : '',
      description: '',
      priority,
    })),
    rows: objects.map((object) => ({
      cells: kind.columns.map(({ value }) => String(value(object))),
      ...row(object, include),
    })),
  }
}

function row(object: KubernetesObject, include: IncludeObject): Json {
  switch (include) {
    case 'None':
      return {}
    case 'Object':
      return { object }
    case 'Metadata': {
      const { metadata } = object
      const partial = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata }
      return { object: partial }
    }
  }
}
