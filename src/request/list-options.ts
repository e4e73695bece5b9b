/** The query of a list, as RequestInfo reads it: apimachinery's `ListOptions` and its decoding. */
import { requiredExactMatch } from './field-selector.ts'
import { isInt64 } from './int64.ts'
import { isLabelSelector } from './label-selector.ts'
import { firstValues, isTrue } from './query.ts'

/** The parameters whose decoding can fail, `watch`, and nothing else: all others are taken as they are. */
const LIST_PARAMETERS = [
  'watch',
  'fieldSelector',
  'labelSelector',
  'limit',
  'timeoutSeconds',
] as const
const SELECTORS = ['fieldSelector', 'labelSelector'] as const

export interface Selectors {
  /** First raw value, parsed or not; `''` when absent. */
  readonly fieldSelector: string
  readonly labelSelector: string
}

export interface ListOptions extends Selectors {
  readonly watch: boolean
  /** What the field selector requires `metadata.name` to be, where that can be a name; else `''`. */
  readonly name: string
}

/**
 * What RequestInfo takes from the query of a GET without a name. Where kube-apiserver could not
 * decode the whole, no name is taken from it, but `watch` counts.
 */
export function decodeListOptions(rawQuery: string): ListOptions {
  const values = firstValues(rawQuery, LIST_PARAMETERS)
  const [watch, fieldSelector = '', labelSelector = '', limit, timeoutSeconds] = values
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

/** For verbs that have selectors but are known without decoding them: deletecollection. */
export function selectorsOf(rawQuery: string): Selectors {
  const [fieldSelector = '', labelSelector = ''] = firstValues(rawQuery, SELECTORS)
  return { fieldSelector, labelSelector }
}

/** An empty value is no number: `limit=` cannot be decoded. */
function isOptionalInt64(value: string | undefined): boolean {
  return value === undefined || isInt64(value)
}

/** requestinfo.go's own reading after a failure: `strings.ToLower`, which folds less than `EqualFold`. */
function isTrueUndecoded(value: string | undefined): boolean {
  return value !== undefined && value !== '0' && value.toLowerCase() !== 'false'
}

/** apimachinery `content.IsPathSegmentName`. */
function isPathSegmentName(name: string): boolean {
  return name !== '.' && name !== '..' && !name.includes('/') && !name.includes('%')
}
