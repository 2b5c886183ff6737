/** No name of a field of the daemon's reaches people who write resources: all that it could say is read from its sources. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { speakerSchema } from 'node-bgp/config/validate';
import { inWordsOfResources, wordsOfField } from '../../src/topology/field-words.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

interface Schema {
  readonly properties: Readonly<Record<string, unknown>>;
}

const { properties } = speakerSchema as unknown as Schema & {
  readonly properties: { readonly peers: { readonly items: Schema } };
};
const FIELDS: ReadonlySet<string> = new Set([
  ...Object.keys(properties),
  ...Object.keys(properties.peers.items.properties),
]);
const isCamelCase = (name: string): boolean => /[A-Z]/.test(name);

/** Of a sentence, in quotes; and bare, where no word of English is meant. */
const fieldsIn = (sentence: string): readonly string[] =>
  [...sentence.matchAll(/"(\w+)"|(?<![\w.])([a-z]+[A-Z]\w*)/g)]
    .map(([, quoted, bare]) => quoted ?? bare ?? '')
    .filter((name) => FIELDS.has(name));

/** What stands in backquotes or quotes and reads like words; what is computed in it is left out. */
function sentencesOf(folder: string): readonly string[] {
  return readdirSync(join(root, folder)).flatMap((file) => {
    const text = readFileSync(join(root, folder, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    return [...text.matchAll(/'((?:[^'\\\n]|\\.)* (?:[^'\\\n]|\\.)*)'|`([^`]* [^`]*)`/g)].map(([, plain, template]) =>
      (plain ?? template ?? '').replace(/\$\{[^}]*\}/g, '…'),
    );
  });
}

const FOLDERS = ['config', 'speaker', 'session', 'codec', 'bfd', 'transport', 'discovery', 'filter', 'rib'];

describe('topology/field-words', () => {
  it('has words for every field of the daemon, none of which is one', () => {
    for (const field of FIELDS) {
      const words = wordsOfField(field);
      expect(words, field).to.be.a('string');
      expect(fieldsIn((words ?? '').replace(/\bspec\.\w+/g, '')), words).to.deep.equal([]);
    }
  });

  const sentences = FOLDERS.flatMap((folder) => sentencesOf(`bgp/src/${folder}`));

  it('leaves none in a sentence of the daemon', () => {
    const told = sentences.filter((sentence) => fieldsIn(sentence).length > 0);
    // Those of relations between fields, of links, of AS numbers: the pattern finds them.
    expect(told).to.have.length.greaterThan(15);
    for (const sentence of told)
      expect(fieldsIn(inWordsOfResources(sentence).replace(/\bspec\.\w+/g, '')), sentence).to.deep.equal([]);
  });

  it('leaves none in the list of what has changed', () => {
    for (const field of [...FIELDS].filter(isCamelCase))
      expect(inWordsOfResources(`Configuration changed: address, ${field}`)).to.equal(
        `Configuration changed: address, ${wordsOfField(field) ?? ''}`,
      );
  });

  it('leaves alone what is in the words of resources already, and what is no field', () => {
    for (const sentence of [
      'spec.maxPrefixes is "0"',
      'correct spec.holdTime',
      'see "nothing" of toString and hasOwnProperty',
    ])
      expect(inWordsOfResources(sentence)).to.equal(sentence);
  });
});
