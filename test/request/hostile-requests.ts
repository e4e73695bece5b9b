import fc from 'fast-check'
import { methodAndTarget, usualRequests } from './usual-requests.ts'

/** A method and a request target, as in a request line. */
export interface RequestLine {
  readonly method: string
  readonly target: string
}

const word = fc.constantFrom(
  ...['api', 'apis', 'API', 'v1', 'v1beta1', 'apps', 'watch', 'proxy', 'namespaces', 'Namespaces'],
  ...['status', 'finalize', 'pods', 'services', 'nodes', 'exec', 'attach', 'log', 'portforward'],
  ...['default', 'web', 'web:80', 'x', 'healthz', 'version', 'debug', 'pprof', '{name}', 'a b'],
  ...['', '.', '..', '...', '.a', '*', '~', '@', ':', '%', '%25', '%2e', '%2E%2E', '%2F', '%2f'],
  ...['%5C', '\\', ';', '%3B', '%3a', '%3A', '%00', '%0A', '%7F', '%C2%80', '%C3%A9', '%FF', '%zz'],
  ...[
    '%2',
    '%61pi',
    '%70roxy',
    'pods%2Fexec',
    'kube-system%2Fsecrets',
    '%E2%80%AE',
    '#',
    '[a]',
    '|',
  ],
)

const booleans = fc.constantFrom(
  ...['', '=', '=true', '=false', '=0', '=1', '=no', '=f', '=00', '=FALSE', '=False', '=True'],
  ...['=fal%C5%BFe', '=f%61lse', '=+false', '=%66', '=false+', '=false%0A', '=%zz', '=fa;lse'],
)

const numbers = fc.constantFrom(
  ...[
    '',
    '=',
    '=0',
    '=500',
    '=-1',
    '=%2B5',
    '=+5',
    '=0x10',
    '=1_000',
    '=1e3',
    '=5+',
    '=007',
    '=--1',
  ],
  ...['=9223372036854775807', '=9223372036854775808', '=-9223372036854775808', '=-', '=%D9%A3'],
  ...['=-9223372036854775809', '=000000000000000000000000001', '=5s', '=%zz'],
)

/** Concatenates random pieces, which form a valid selector or do not. */
function soup(...pieces: readonly string[]): fc.Arbitrary<string> {
  return fc
    .array(fc.constantFrom(...pieces), { maxLength: 9 })
    .map((parts) => `=${encodeURIComponent(parts.join(''))}`)
}

const fieldSelectors = fc.oneof(
  soup(
    ...[
      'metadata.name',
      'metadata.namespace',
      'a',
      '=',
      '==',
      '!=',
      '!',
      ',',
      '\\',
      '\\,',
      '\\=',
      ' ',
    ],
    ...['.', '..', '/', '%', 'metadata.name=n1', 'metadata.name==n0', 'x=y', '\u{1F600}', '\uFFFD'],
  ),
  fc
    .array(
      fc.constantFrom(
        ...['metadata.name=b', 'metadata.name=a', 'metadata.name==c', 'metadata.name=', 'a=b', ''],
        ...['metadata.name!=a', 'metadata.name=..', 'metadata.name=a/b', 'metadata.name=a%', 'bad'],
        ...['metadata.name=a\\,b', 'metadata.name=\\\\', 'metadata.name=\\a', ' metadata.name=d'],
        ...['metadata.name=\u{1F600}', 'metadata.name=\uFFFD', 'metadata.name=.', 'z!=\\='],
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((terms) => `=${encodeURIComponent(terms.join(','))}`),
)

const labelSelectors = soup(
  ...[
    'a',
    'example.com/a',
    'Example.com/a',
    '/a',
    'a/',
    'a/b/c',
    '-a',
    'a-',
    'é',
    'in',
    'notin',
    ' in ',
  ],
  ...[
    ' notin ',
    '(',
    ')',
    ',',
    '=',
    '==',
    '!=',
    '!',
    '<',
    '>',
    '5',
    '-5',
    ' ',
    '\t',
    '\n',
    '\v',
    '\u00a0',
  ],
  ...[
    'a'.repeat(63),
    'b'.repeat(64),
    `${'c'.repeat(254)}/a`,
    '9223372036854775808',
    '(x,y)',
    '(,)',
  ],
)

const pair = fc.oneof(
  { weight: 3, arbitrary: booleans.map((value) => `watch${value}`) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('limit', 'timeoutSeconds', 'l%69mit'), numbers)
      .map((parts) => parts.join('')),
  },
  { weight: 4, arbitrary: fieldSelectors.map((value) => `fieldSelector${value}`) },
  { weight: 4, arbitrary: labelSelectors.map((value) => `labelSelector${value}`) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...['Watch=1', 'w%61tch=1', 'watch%3D1', 'watch+=1', '%zz=1', '%FF=1', 'a;b', ';', '=', '%'],
      ...[
        'follow=true',
        'pretty',
        'fieldSelector=metadata.name=n1',
        'fieldSelector',
        'a=%FF',
        'é=1',
      ],
      ...['resourceVersion=0', 'sendInitialEvents=maybe', 'continue=', 'a=%00', 'a=%0A', 'a=b?c=d'],
      ...['watch=1#', '#watch=1', 'a=`"<>\\', 'labelSelector=%', 'dryRun=All', '__proto__=1'],
    ),
  },
)

const query = fc.oneof(
  { weight: 2, arbitrary: fc.constant('') },
  {
    weight: 5,
    arbitrary: fc.array(pair, { minLength: 1, maxLength: 4 }).map((pairs) => `?${pairs.join('&')}`),
  },
  { weight: 1, arbitrary: fc.constantFrom('?', '??', '?&', '?&&watch=1', '?watch=1?') },
)

/** Options that can be decoded, so that the name in the field selector counts. */
const decodableQuery = fc
  .tuple(
    fc.constantFrom(
      ...['metadata.name=b,metadata.name=a', 'metadata.name==c,a!=b', 'a=b,metadata.name=a\\,b'],
      ...[
        'metadata.name=',
        'metadata.name=..',
        'metadata.name=a/b',
        'metadata.name=a%',
        'metadata.name',
      ],
      ...['metadata.name=\u{1F600},metadata.name=\uFFFD', 'metadata.name=b,metadata.name=', ',,'],
      ...['metadata.name=a b', 'metadata.namespace=default,metadata.name=web', ' metadata.name=a'],
      ...['metadata.name!=a,metadata.name=b', 'metadata.name=a=b', '=,metadata.name=a', '==a'],
    ),
    fc.constantFrom('', '&limit=500', '&timeoutSeconds=5', '&limit=x', '&labelSelector=a in (b,)'),
    fc.constantFrom('', '&watch=1', '&watch=false', '&watch=0', '&watch'),
  )
  .map(([selector, ...rest]) => `?fieldSelector=${encodeURIComponent(selector)}${rest.join('')}`)
  .map((text) => text.replaceAll(' ', '+'))

const method = fc.oneof(
  { weight: 6, arbitrary: fc.constant('GET') },
  {
    weight: 4,
    arbitrary: fc.constantFrom('HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('TRACE', 'CONNECT', 'get', 'Get', 'PROXY', 'WATCH', 'M-SEARCH'),
  },
)

/** Paths that follow the grammar of requestinfo.go, with some odd words. */
const resourcePath = fc
  .record({
    prefix: fc.constantFrom(
      '/api/v1',
      '/api/v1',
      '/apis/apps/v1',
      '/apis/example.com/v1',
      '/api/v2',
    ),
    special: fc.constantFrom('', '', '', '/watch', '/proxy'),
    namespace: fc.constantFrom('', '', '/namespaces/default', '/namespaces/web', '/namespaces'),
    rest: fc.array(
      fc.oneof(
        {
          weight: 5,
          arbitrary: fc.constantFrom('pods', 'web', 'exec', 'log', 'proxy', 'status', 'a'),
        },
        { weight: 1, arbitrary: word },
      ),
      { maxLength: 4 },
    ),
    end: fc.constantFrom('', '', '', '/', '//'),
  })
  .map(
    ({ prefix, special, namespace, rest, end }) =>
      `${prefix}${special}${namespace}${rest.map((segment) => `/${segment}`).join('')}${end}`,
  )

const listPath = fc.constantFrom(
  ...['/api/v1/pods', '/api/v1/namespaces/default/pods', '/apis/apps/v1/deployments/'],
  ...['/api/v1/namespaces', '/api/v1/watch/pods', '/api/v1/nodes//proxy/x', '/api/v1/pods/web'],
)

const wordPath = fc
  .array(word, { maxLength: 7 })
  .map((segments) => segments.map((segment) => `/${segment}`).join(''))

const insertion = fc.constantFrom(
  ...[
    '/',
    '//',
    '/./',
    '/../',
    '.',
    '%2F',
    '%2f',
    '%5c',
    '%2e',
    '%00',
    '%',
    ';',
    '\\',
    '#',
    '?',
    '&',
  ],
  ...['\u00e9', ' ', '\t', '\r\n', '%C3%A9', '%c3%a9', '+', '=', ':', '%3A', '%20', 'A', '\u0080'],
)

/** A usual target with an insertion or a cut at a random place. */
const mutated = fc
  .record({
    line: fc.constantFrom(...usualRequests),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.constantFrom(0, 0, 1, 2, 3),
    insert: fc.oneof(insertion, fc.constant('')),
  })
  .map(({ line, at, cut, insert }) => {
    const { method, target } = methodAndTarget(line)
    const place = Math.floor(at * (target.length + 1))
    return { method, target: target.slice(0, place) + insert + target.slice(place + cut) }
  })

const otherForm = fc.constantFrom(
  ...['', '*', 'api/v1/pods', 'http://evil/api/v1/secrets', 'https://evil', 'foo:/api/v1/secrets'],
  ...[
    'evil:443',
    '//api/v1/pods',
    '///api/v1/pods',
    '/\\evil/api/v1/pods',
    '/api/v1/pods#?watch=1',
  ],
  ...['?watch=1', '/?watch=1', '/api%2Fv1%2Fsecrets', '/%61pi/v1/secrets', '/./api/v1/pods'],
)

/** Requests that test how targets are read; about half of them have only one reading. */
export const hostileRequest: fc.Arbitrary<RequestLine> = fc.oneof(
  { weight: 4, arbitrary: pathAndQuery(resourcePath) },
  { weight: 4, arbitrary: pathAndQuery(listPath) },
  { weight: 2, arbitrary: pathAndQuery(listPath, decodableQuery) },
  { weight: 2, arbitrary: pathAndQuery(wordPath) },
  { weight: 3, arbitrary: mutated },
  { weight: 1, arbitrary: fc.record({ method, target: otherForm }) },
)

function pathAndQuery(
  path: fc.Arbitrary<string>,
  queries: fc.Arbitrary<string> = query,
): fc.Arbitrary<RequestLine> {
  return fc
    .record({ method, path, text: queries })
    .map((parts) => ({ method: parts.method, target: parts.path + parts.text }))
}

/** Returns requests without duplicates, the same for the same seed. */
export function hostileRequests(seed: number, count: number): RequestLine[] {
  const questions = new Map<string, RequestLine>()
  for (const question of fc.sample(hostileRequest, { seed, numRuns: count })) {
    questions.set(`${question.method} ${question.target}`, question)
  }
  return [...questions.values()]
}
