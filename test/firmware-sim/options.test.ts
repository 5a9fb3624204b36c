import { describe, expect, it } from 'vitest';
import { parseLabels, readOptions, simCommand } from '../../firmware-sim/options.ts';

const parse = (...words: string[]) => {
  const command = simCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} });
  command.parse(words, { from: 'user' });
  return readOptions(command.opts());
};

describe('the command line of sluice-sim', () => {
  it('needs nothing but a broker', () => {
    expect(parse('--url', 'mqtt://h')).toMatchObject({
      url: 'mqtt://h',
      devices: 40,
      rate: 200,
      seed: 7,
      duration: null,
      mail: [],
    });
    expect(parse('--kafka', 'a:1, b:2').kafka).toEqual(['a:1', 'b:2']);
  });

  it('reads times, plans and repeated paths', () => {
    const options = parse(
      '--url',
      'mqtt://h',
      '--for',
      '90s',
      '--mail',
      'a',
      '--mail',
      'b',
      '--labels',
      'delay=1m,wrong=0',
      '--no-faults',
    );
    expect(options).toMatchObject({ duration: 90_000, mail: ['a', 'b'], faults: false });
    expect(options.labels).toEqual({ delay: 60_000, fraction: 0.2, wrong: 0 });
    expect(options.mailLabels).toEqual(options.labels);
    expect(parseLabels('none', 'labels').fraction).toBe(0);
  });

  it.each([
    [[], /--url or --kafka/],
    [['--url', 'mqtt://h', '--kafka', 'h:1'], /--url or --kafka/],
    [['--url', 'mqtt://h', '--rate', 'fast'], /--rate: a number/],
    [['--url', 'mqtt://h', '--devices', '0'], /--devices: a number from 1/],
    [['--url', 'mqtt://h', '--classes', '3'], /--classes: 2 or 4/],
    [['--url', 'mqtt://h', '--for', 'ever'], /--for: not a duration/],
    [['--url', 'mqtt://h', '--labels', 'fraction=2'], /--labels: fraction is a share/],
    [['--url', 'mqtt://h', '--labels', 'speed=2'], /not "speed"/],
    [['--url', 'mqtt://h', '--rate', ''], /--rate: a number/],
    [['--url', 'mqtt://h', '--bogus'], /unknown option/],
  ])('refuses %j', (words, reason) => {
    expect(() => parse(...(words as string[]))).toThrow(reason as RegExp);
  });
});
