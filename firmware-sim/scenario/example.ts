// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment are what the example shows
/** The commented scenario that `sluice-sim --example` prints. It passes its own check as it stands (a test holds it to that). */
export const EXAMPLE = `# A scenario for sluice-sim. Check and run it:   sluice-sim -c scenario.yaml --for 60s
# Every key, its values and its default are in docs/simulator.md. Durations: 500ms, 10s, 5m, 2h, 7d.

# The broker on which your gateways listen. \${VAR} and \${VAR:-default} come from the environment.
where:
  type: mqtt                                   # or: type: kafka, brokers: ["host:9092"]
  url: "\${SLUICE_BROKER:-mqtt://127.0.0.1:1883}"
  version: 5                                   # 4 for MQTT 3.1.1, as the embedded broker of the demo speaks
  # user: simulator
  # password: "\${SIM_PASSWORD}"
  connections: 2                               # shared by all devices of a site

seed: 7                                        # same seed, same fleet, same script
for: 10m                                       # without it: until Ctrl-C
drain: 15s                                     # wait so long for the last answers
day: 5m                                        # a day of the plant: warm afternoons, and rates that follow
rhythm: 0.3

# Gateways by their \`site\`. Devices and rates are divided among them.
# With one site readings go to plant/<device>/telemetry; with several to plant/<site>/<device>/telemetry.
sites:
  north-gate: {}
  south-gate: { readings: plant/south-gate, mail: mail/south-gate }

readings:
  task: machine                                # the gateways' task that judges them
  devices: 200
  types: [press, pump, fan]
  rate: 500                                    # a second, all sites together; max: as fast as it goes
  classes: 2                                   # ok and fault; 4: ok, bearing, leak, overheat
  labels:                                      # what people tell afterwards
    delay: 3s
    shape: lognormal                           # most soon, some very late
    fraction: 0.2                              # the others are never labelled
    wrong: 0.01
    hostile: 0.1                               # one device in ten: always the opposite of the truth

mail:
  task: spam
  rate: 5
  # replay: [mail/index.tsv]                   # real mail instead of generated mail

# What goes wrong at the sensors: probabilities for each reading.
faults:
  missing: 0.012
  wrongType: 0.003
  outOfRange: 0.002
  spike: 0.003
  stuck: 0.0005                                # these three begin episodes
  offset: 0.0002
  dropout: 0.0002
  episodes: { stuck: 20, offset: 60, dropout: 30 }

# What goes wrong between device and broker.
network:
  offline: { every: 5m, for: 20s }             # store and forward: readings come late, in order
  reboot: { every: 30m, for: 5s, keeps: true }
  buffer: 200                                  # readings that a device holds; what it drops is counted apart
  duplicate: 0.001
  reorder: 0.002
  clock: { offset: 2s, drift: 50 }             # wrong by up to 2 s, fast or slow by up to 50 millionths

# The truth that drift detectors are judged by.
drift:
  - { name: new product, how: abrupt, kind: concept, at: 2m, who: "*", strength: 0.9 }
  - { name: worn gauge, how: incremental, kind: sensor, sensor: pressure, shift: 4, at: 4m, over: 1m, who: press }
  - { name: new supplier, how: gradual, kind: concept, strength: 0.5, at: 6m, over: 1m, who: 50%, sites: [south-gate] }
  - { name: night shift, how: recurring, kind: sensor, sensor: temperature, shift: 3, at: 8m, period: 1m, share: 0.5 }

# Parts of the run; accuracy is told for each. Without phases the run is cut where a drift begins.
phases:
  - { name: calm, at: 0s }
  - { name: storm, at: 5m, rate: 2, faults: 3, network: 5, labels: { delay: 10s } }
  - { name: after, at: 7m }

# Gateways that only follow models, to test a hub with. Remove the # and give the hub's public key.
# followers:
#   count: 1000
#   group: default
#   task: machine
#   trust: [keys/hub.pub]
#   apply: { from: 1s, to: 10s }
#   faults: { silent: 0.02, slow: 0.05, corrupt: 0.01, reboot: 0.05, clock: 0.01 }

scoring:
  within: 2m                                   # an alarm later than this after a drift is a false one
`;
