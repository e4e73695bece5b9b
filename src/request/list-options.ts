/** Reads the query of a list as RequestInfo does: apimachinery's `ListOptions` and its decoding. */
import { StatusError } from '../status.ts'
import { requiredExactMatch } from './field-selector.ts'
import { isInt64 } from './int64.ts'
import { isLabelSelector } from './label-selector.ts'
import { firstValues, isTrue } from './query.ts'

/**
 * `watch` and the parameters whose decoding can fail; kube-apiserver's decoding accepts any value
 * of the others.
 */
const LIST_PARAMETERS = [
  'watch',
  'fieldSelector',
  'labelSelector',
  'limit',
  'timeoutSeconds',
] as const
/**
 * In a selector, which may have 65,000 in a target of 128 KiB. kube-apiserver has no such limit. Parsing
 * blocks the requests of all users: 5,000 requirements take about two milliseconds.
 */
export const MAX_SELECTOR_COMMAS = 5_000

const SELECTORS = ['fieldSelector', 'labelSelector'] as const

export interface Selectors {
  /** First raw value, parsed or not; `''` when absent. */
  readonly fieldSelector: string
  readonly labelSelector: string
}

export interface ListOptions extends Selectors {
  readonly watch: boolean
  /**
   * The value that the field selector requires of `metadata.name`, if it is a possible name; else
   * `''`.
   */
  readonly name: string
}

/**
 * Reads what RequestInfo uses of the query of a GET without a name. If kube-apiserver could not
 * decode the query, the name is ignored, but `watch` still counts.
 *
 * @throws StatusError 400 for a selector with more than `MAX_SELECTOR_COMMAS`
 */
export function decodeListOptions(rawQuery: string): ListOptions {
  const values = firstValues(rawQuery, LIST_PARAMETERS)
  const [watch, fieldSelector = '', labelSelector = '', limit, timeoutSeconds] = values
  checkSize('fieldSelector', fieldSelector)
  checkSize('labelSelector', labelSelector)
  const name =
    isOptionalInt64(limit) && isOptionalInt64(timeoutSeconds) && isLabelSelector(labelSelector)
      ? requiredExactMatch(fieldSelector, 'metadata.name')
      : undefined
  return {
    watch: name === undefined ? isTrueUndecoded(watch) : isTrue(watch),
    name: name !== undefined && isPathSegmentName(name) ? name : '',
    fieldSelector,
    labelSelector,
  }
}

/** Reads the selectors of a deletecollection, whose verb does not depend on the query. */
export function selectorsOf(rawQuery: string): Selectors {
  const [fieldSelector = '', labelSelector = ''] = firstValues(rawQuery, SELECTORS)
  return { fieldSelector, labelSelector }
}

/** @throws StatusError 400 for a selector that would take too long to parse */
function checkSize(parameter: string, selector: string): void {
  if (selector.length <= MAX_SELECTOR_COMMAS) return
  let commas = 0
  for (let at = selector.indexOf(','); at !== -1; at = selector.indexOf(',', at + 1)) commas++
  if (commas <= MAX_SELECTOR_COMMAS) return
  throw new StatusError(
    'BadRequest',
    `the ${parameter} has more than ${MAX_SELECTOR_COMMAS} commas: use a shorter selector, or several requests`,
  )
}

/** An empty value is not a number: `limit=` cannot be decoded. */
function isOptionalInt64(value: string | undefined): boolean {
  return value === undefined || isInt64(value)
}

/**
 * How requestinfo.go reads `watch` after a failure: with `strings.ToLower`, which folds less than
 * `EqualFold`.
 */
function isTrueUndecoded(value: string | undefined): boolean {
  return value !== undefined && value !== '0' && value.toLowerCase() !== 'false'
}

/** apimachinery `content.IsPathSegmentName`. */
function isPathSegmentName(name: string): boolean {
  return name !== '.' && name !== '..' && !name.includes('/') && !name.includes('%')
}
