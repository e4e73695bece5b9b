/**
 * Functions that expressions have in Kubernetes and not in Gatehouse: they are of no use for claims and
 * rules, or read text in a way that only Go's library defines. An expression that calls one is refused,
 * with its name, instead of one whose result may be another.
 */
import type { Library } from '../library.ts'

const QUANTITY = 'kubernetes.Quantity'
const FORMAT = 'kubernetes.NamedFormat'
const AUTHORIZATION = 'kubernetes.authorization'

const FORMATS: readonly string[] = [
  ...['byte', 'date', 'datetime', 'dns1035Label', 'dns1035LabelPrefix', 'dns1123Label'],
  ...['dns1123LabelPrefix', 'dns1123Subdomain', 'dns1123SubdomainPrefix', 'labelValue'],
  ...['qualifiedName', 'uri', 'uuid'],
]

const SIGNATURES: Readonly<Record<string, readonly string[]>> = {
  quantity: [`string -> ${QUANTITY}`],
  isQuantity: ['string -> bool'],
  add: [`.${QUANTITY}, int -> ${QUANTITY}`, `.${QUANTITY}, ${QUANTITY} -> ${QUANTITY}`],
  sub: [`.${QUANTITY}, int -> ${QUANTITY}`, `.${QUANTITY}, ${QUANTITY} -> ${QUANTITY}`],
  asApproximateFloat: [`.${QUANTITY} -> double`],
  asInteger: [`.${QUANTITY} -> int`],
  isInteger: [`.${QUANTITY} -> bool`],
  sign: [`${QUANTITY} -> int`],
  compareTo: [`.${QUANTITY}, ${QUANTITY} -> int`],
  isGreaterThan: [`.${QUANTITY}, ${QUANTITY} -> bool`],
  isLessThan: [`.${QUANTITY}, ${QUANTITY} -> bool`],
  'format.named': [`string -> optional_type(${FORMAT})`],
  validate: [`.${FORMAT}, string -> optional_type(list(string))`],
  ...Object.fromEntries(FORMATS.map((name) => [`format.${name}`, [` -> ${FORMAT}`]])),
  allowed: [`.${AUTHORIZATION}.Decision -> bool`],
  reason: [`.${AUTHORIZATION}.Decision -> string`],
  error: [`.${AUTHORIZATION}.Decision -> string`],
  errored: [`.${AUTHORIZATION}.Decision -> bool`],
  check: [
    `.${AUTHORIZATION}.PathCheck, string -> ${AUTHORIZATION}.Decision`,
    `.${AUTHORIZATION}.ResourceCheck, string -> ${AUTHORIZATION}.Decision`,
  ],
  path: [`.${AUTHORIZATION}.Authorizer, string -> ${AUTHORIZATION}.PathCheck`],
  group: [`.${AUTHORIZATION}.Authorizer, string -> ${AUTHORIZATION}.GroupCheck`],
  serviceAccount: [`.${AUTHORIZATION}.Authorizer, string, string -> ${AUTHORIZATION}.Authorizer`],
  resource: [`.${AUTHORIZATION}.GroupCheck, string -> ${AUTHORIZATION}.ResourceCheck`],
  ...Object.fromEntries(
    ['fieldSelector', 'labelSelector', 'name', 'namespace', 'subresource'].map((name) => [
      name,
      [`.${AUTHORIZATION}.ResourceCheck, string -> ${AUTHORIZATION}.ResourceCheck`],
    ]),
  ),
}

export const unsupported: Library = Object.fromEntries(
  Object.entries(SIGNATURES).map(([name, signatures]) => [
    name,
    signatures.map((signature) => [signature] as const),
  ]),
)
