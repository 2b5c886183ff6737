/** docs/calico.md: the table as a page. `node dist/test/api/calico/document.js` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ANNOTATION_REFUSALS, FIELD_REFUSALS } from '../../../src/agent/refusals.js';
import { kinds } from '../../../src/api/kinds.js';
import { bgpSections } from './bgp-rows.js';
import { changeSections } from './change-rows.js';
import { clusterPolicySections } from './cluster-policy-rows.js';
import { ipamSections } from './ipam-rows.js';
import { marks } from './marks.js';
import { policySections } from './policy-rows.js';
import { shapes } from './shapes.js';
import { FROM_TABLE, type Mark, type Row, type Section } from './table.js';

export const sections: readonly Section[] = [
  ...ipamSections,
  ...bgpSections,
  ...policySections,
  ...clusterPolicySections,
  ...changeSections,
];

export const DOCUMENT = fileURLToPath(new URL('../../../../docs/calico.md', import.meta.url));
const BEGIN = '<!-- written from test/api/calico by document.ts; change the rows there -->';

const kindNames = new Map(Object.entries(kinds).map(([name, { kind, group }]) => [name, { kind, group }]));

/** The refusal of a kind's field in src/agent/refusals.ts. */
export const tabledRefusal = (kind: string, path: string): string | undefined =>
  FIELD_REFUSALS.find((row) => {
    const found = kindNames.get(row.kind);
    return found?.kind === kind && found.group === 'projectcalico.org' && row.field === path;
  })?.why;

export const markRefusal = ({ on, name }: Mark): string | undefined =>
  ANNOTATION_REFUSALS.find((row) => row.name === name && kindNames.get(row.kind)?.kind === on.split(',')[0])?.why;

/** The page with everything after the marker written anew. */
export function documentText(before: string): string {
  const head = before.slice(0, before.indexOf(BEGIN) + BEGIN.length);
  return `${[head, ...sections.map(sectionText), ...Object.values(shapes).map(shapeText), marksText()].join('\n\n')}\n`;
}

const header = (what: string): string => `| ${what} | here | where | shown by |\n| --- | --- | --- | --- |`;

function sectionText({ kinds: names, about, rows }: Section): string {
  const [kind = ''] = names;
  const lines = rows.map((row) => rowText(row, (path) => tabledRefusal(kind, path)));
  return [
    `## ${names.join(', ')}`,
    ...(about === undefined ? [] : [about]),
    [header('property'), ...lines].join('\n'),
  ].join('\n\n');
}

const shapeText = ({ title, rows }: (typeof shapes)['labels']): string =>
  [`## ${title}`, [header('property'), ...rows.map((row) => rowText(row, () => undefined))].join('\n')].join('\n\n');

function rowText(row: Row, tabled: (path: string) => string | undefined): string {
  const refusal = row.refusal === FROM_TABLE ? tabled(row.path) : row.refusal;
  const shape = row.shape === undefined ? [] : [`(${shapes[row.shape].title})`];
  return cells(row.path, row.does, refusal, row.file, row.proof, shape);
}

const marksText = (): string =>
  [
    '## Annotations, labels, Secrets',
    [
      '| on | name | here | where | shown by |\n| --- | --- | --- | --- | --- |',
      ...marks.map((mark) => {
        const refusal = mark.refusal === FROM_TABLE ? markRefusal(mark) : mark.refusal;
        const name = mark.name.endsWith('/') ? `${mark.name}...` : mark.name;
        return `| ${mark.on} ${cells(name, mark.does, refusal, mark.file, mark.proof, [])}`;
      }),
    ].join('\n'),
  ].join('\n\n');

function cells(
  name: string,
  does: string | undefined,
  refusal: string | undefined,
  file: string,
  [test, title]: Row['proof'],
  more: readonly string[],
): string {
  const here = [
    ...(does === undefined ? [] : [does]),
    ...more,
    ...(refusal === undefined ? [] : [`**refused**: "${refusal}"`]),
  ].join(' ');
  return `| \`${name}\` | ${cell(here)} | ${file} | ${test}: ${cell(title)} |`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(DOCUMENT, documentText(readFileSync(DOCUMENT, 'utf8')));
