/** One message on loan from an MQTT source, and its place among the acknowledgements of its connection. */
import type { Delivery, Message, Outcome } from '../../contract.ts';
import type { HeldAcks } from './acks.ts';

export interface Place {
  /** Of the connection it came by. */
  readonly acks: HeldAcks;
  /** 0 for QoS 0, which nobody acknowledges. */
  readonly packetId: number;
  /** As `acks.hold` gave it; -1 for QoS 0. */
  readonly seq: number;
}

export class MqttDelivery implements Delivery {
  readonly message: Message;
  readonly place: Place;
  /** How often it was handed out before. */
  readonly tries: number;
  readonly #settled: (delivery: MqttDelivery, outcome: Outcome) => void;
  #open = true;

  constructor(
    message: Message,
    place: Place,
    tries: number,
    settled: (delivery: MqttDelivery, outcome: Outcome) => void,
  ) {
    this.message = message;
    this.place = place;
    this.tries = tries;
    this.#settled = settled;
  }

  /** Whether the broker will deliver it again if it is not acknowledged. */
  get acknowledged(): boolean {
    return this.place.packetId !== 0;
  }

  get comesAgain(): boolean {
    return this.acknowledged;
  }

  settle(outcome: Outcome): void {
    if (!this.#open) return; // a second call changes nothing
    this.#open = false;
    this.#settled(this, outcome);
  }
}
