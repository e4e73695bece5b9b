/** Label and field selectors of lists and watches (apimachinery/pkg/labels, pkg/fields). */
import { stringAt, type KubernetesObject } from './objects.ts'
import { Refusal } from './status.ts'

/** Whether an object matches a selector. */
export type Matches = (object: KubernetesObject) => boolean

/** The predicate of a query's `labelSelector` and `fieldSelector`. Throws a Refusal (BadRequest). */
export function selectorOf(query: URLSearchParams): Matches {
  const labels = terms(query.get('labelSelector') ?? '').map(labelTerm)
  const fields = terms(query.get('fieldSelector') ?? '').map(fieldTerm)
  return (object) => [...labels, ...fields].every((matches) => matches(object))
}

/** Splits at commas that are not between parentheses. */
function terms(selector: string): readonly string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '')
}

function labelTerm(term: string): Matches {
  const label = ({ metadata }: KubernetesObject, key: string): string | undefined =>
    metadata.labels?.[key]
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term)
  if (set !== null) {
    const [, key = '', operator, list = ''] = set
    const values = list.split(',').map((value) => value.trim())
    return (object) => values.includes(label(object, key) ?? '\0') === (operator === 'in')
  }
  const equality = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(term)
  if (equality !== null) {
    const [, key = '', operator, value] = equality
    return (object) => (label(object, key) === value) === (operator !== '!=')
  }
  const existence = /^(!?)\s*([^\s=!()]+)$/.exec(term)
  if (existence === null) throw new Refusal('BadRequest', `unable to parse requirement: ${term}`)
  const [, negation, key = ''] = existence
  return (object) => (label(object, key) === undefined) === (negation === '!')
}

function fieldTerm(term: string): Matches {
  const parsed = /^([\w.]+)(==|=|!=)(.*)$/.exec(term)
  if (parsed === null) throw new Refusal('BadRequest', `invalid field selector: ${term}`)
  const [, field = '', operator, value] = parsed
  const path = field.split('.')
  return (object) => (stringAt(object, ...path) === value) === (operator !== '!=')
}
