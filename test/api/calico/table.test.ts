import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ANNOTATION_REFUSALS, FIELD_REFUSALS } from '../../../src/agent/refusals.js';
import { customResourceDefinitions } from '../../../src/api/crds/index.js';
import { at, isObject, listAt, textAt, type JsonObject } from '../../../src/apiserver/json.js';
import type { Schema } from '../../../src/apiserver/schema.js';
import { DOCUMENT, documentText, markRefusal, sections, tabledRefusal } from './document.js';
import { marks } from './marks.js';
import { shapes } from './shapes.js';
import { covered, expand, FROM_TABLE, REFUSALS_FILE, type Mark, type Row } from './table.js';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
const crds = customResourceDefinitions as unknown as readonly JsonObject[];

/** Every property of a kind, leaf or not; of what every object has (apiVersion, kind, metadata) none. */
function propertiesOf(crd: JsonObject): readonly string[] {
  const schema = at(listAt(crd, 'spec', 'versions')[0], 'schema', 'openAPIV3Schema', 'properties');
  if (!isObject(schema)) return [];
  return (['spec', 'status'] as const).flatMap((name) => {
    const part = schema[name];
    return isObject(part) ? walk(part as Schema, name) : [];
  });
}

const walk = (schema: Schema, path: string): readonly string[] => [path, ...below(schema, path)];

function below(schema: Schema, path: string): readonly string[] {
  const members = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => walk(child, `${path}.${name}`));
  return schema.items === undefined ? members : [...members, ...below(schema.items, `${path}[]`)];
}

/** BOUNDED by the files the rows name. */
const texts = new Map<string, string>();

function textOf(file: string): string | undefined {
  const path = `${ROOT}${file}`;
  if (!existsSync(path)) return undefined;
  const known = texts.get(path) ?? readFileSync(path, 'utf8');
  texts.set(path, known);
  return known;
}

function problemsOf(
  row: Pick<Row, 'file' | 'proof' | 'refusal' | 'does'>,
  words: string | undefined,
): readonly string[] {
  const [test, title] = row.proof;
  const source = textOf(row.file);
  const shown = textOf(test);
  return [
    ...(source === undefined ? [`${row.file} does not exist`] : []),
    ...(shown === undefined ? [`${test} does not exist`] : []),
    ...(shown !== undefined && !shown.includes(title) ? [`${test} has no test "${title}"`] : []),
    ...(row.does === undefined && row.refusal === undefined ? ['says nothing'] : []),
    ...(row.refusal !== undefined && words === undefined ? [`${REFUSALS_FILE} does not refuse it`] : []),
    ...(words !== undefined && row.refusal !== FROM_TABLE && source?.includes(words) !== true
      ? [`${row.file} does not say "${words}"`]
      : []),
  ];
}

describe('docs/calico.md', () => {
  for (const crd of crds) {
    const kind = textAt(crd, 'spec', 'names', 'kind') ?? '';
    it(`has a row for every property of ${kind}, and no other`, () => {
      const rows = sections.filter((section) => section.kinds.includes(kind)).flatMap((section) => section.rows);
      const paths = rows.flatMap((row) => covered(row, shapes));
      const properties = propertiesOf(crd);
      expect(properties.length).to.be.above(3);
      expect(
        properties.filter((path) => !paths.includes(path)),
        'properties without a row',
      ).to.deep.equal([]);
      expect(
        paths.filter((path) => !properties.includes(path)),
        'rows without a property',
      ).to.deep.equal([]);
      expect(
        paths.filter((path, index) => paths.indexOf(path) !== index),
        'rows twice',
      ).to.deep.equal([]);
    });
  }

  it('speaks of kinds that are served only', () => {
    const served = crds.map((crd) => textAt(crd, 'spec', 'names', 'kind'));
    for (const section of sections) for (const kind of section.kinds) expect(served).to.include(kind);
  });

  it('names files and tests that there are, and the words of refusals', () => {
    const wrong = [
      ...sections.flatMap(({ kinds: [kind = ''], rows }) =>
        rows.flatMap((row) =>
          problemsOf(row, row.refusal === FROM_TABLE ? tabledRefusal(kind, row.path) : row.refusal).map(
            (problem) => `${kind} ${row.path}: ${problem}`,
          ),
        ),
      ),
      ...Object.values(shapes).flatMap(({ title, rows }) =>
        rows.flatMap((row) => problemsOf(row, row.refusal).map((problem) => `${title} ${row.path}: ${problem}`)),
      ),
      ...marks.flatMap((mark: Mark) =>
        problemsOf(mark, mark.refusal === FROM_TABLE ? markRefusal(mark) : mark.refusal).map(
          (problem) => `${mark.on} ${mark.name}: ${problem}`,
        ),
      ),
    ];
    expect([...new Set(wrong)]).to.deep.equal([]);
  });

  it('says of everything that is refused that it is', () => {
    const refusedRows = sections.flatMap(({ kinds, rows }) =>
      rows
        .filter((row) => row.refusal === FROM_TABLE)
        .flatMap((row) => expand(row.path).map((path) => `${kinds[0]} ${path}`)),
    );
    const named = (kind: string): string =>
      sections.flatMap(({ kinds }) => kinds).find((each) => `${each.toLowerCase()}s` === kind.toLowerCase()) ?? kind;
    expect(FIELD_REFUSALS.map(({ kind, field }) => `${named(kind)} ${field}`)).to.have.members(refusedRows);
    expect(marks.filter(({ refusal }) => refusal === FROM_TABLE)).to.have.length(ANNOTATION_REFUSALS.length);
  });

  it('says that kinds are not served only where they are not', () => {
    const text = readFileSync(DOCUMENT, 'utf8');
    const table = text.slice(
      text.indexOf('## Kinds that are not served'),
      text.indexOf('Nothing here gives addresses'),
    );
    const names = table.split('\n').flatMap((line) => line.split('|')[1]?.match(/[A-Z][A-Za-z]+/g) ?? []);
    const served = crds
      .filter((crd) => textAt(crd, 'spec', 'group') === 'projectcalico.org')
      .map((crd) => textAt(crd, 'spec', 'names', 'kind'));
    expect(names).to.include.members(['FelixConfiguration', 'IPAMBlock', 'Profile']);
    expect(names.filter((name) => served.includes(name))).to.deep.equal([]);
  });

  it('is what the table writes', () => {
    const text = readFileSync(DOCUMENT, 'utf8');
    expect(documentText(text), 'run node dist/test/api/calico/document.js').to.equal(text);
  });
});
