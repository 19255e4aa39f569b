// One call: the microphone and the speakers, the channel, and the agent that was asked to join it.

import { request } from "./api.js";
import { CallAudio, soundAllowed } from "./audio.js";
import { Channel } from "./channel.js";
import { Assembler, split } from "./chunks.js";
import { hasTicket } from "./ticket.js";
import { isToolCall, run } from "./tools.js";

const NO_SOUND = "A microphone and sound need https or localhost. You can type to the agent and read its answers.";
const NO_MICROPHONE = {
  NotAllowedError: "The microphone was not allowed. You can type to the agent and hear it.",
  NotFoundError: "There is no microphone. You can type to the agent and hear it.",
  NotReadableError: "Another program holds the microphone. You can type to the agent and hear it.",
};
const START_SECONDS = 60; // the server has limits of its own and words for them; this is for a dead one

export class Call {
  /**
   * `page` has onlevel("mic" or "agent", rms), onnotice(text), onevent(json), ontool(name, error or undefined)
   * and onended(text, failed).
   */
  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.agentUid = newUid();
    this.packets = new Assembler();
    this.closed = false;
    this.ready = false;
    this.adopted = false;
    this.played = 0; // of the agent's samples; here, since a speaker can be forgotten and made again
    this.audio = new CallAudio({
      onpcm: (pcm) => this.channel?.sendAudio(pcm),
      onlevel: (uid, level) => this.level(uid, level),
      onplayed: (uid, samples) => this.receipt(uid, samples),
      onlost: () => this.page.onnotice("The microphone is gone. You can type to the agent."),
    });
  }

  /** Resolves when the agent is in the channel, with what is known of its model; that can be null. */
  async start() {
    await this.openAudio();
    if (!this.closed) await this.join();
    if (this.closed) return null;
    this.asked = this.adopted ? this.modelOfAdopted() : this.ask();
    const answer = await this.asked;
    if (this.left) throw new Error(this.left);
    this.ready = true;
    return answer;
  }

  ask() {
    // Wherever the server's other agents go: this page is in the server's own channel.
    const body = { channel_name: this.name, uid: this.agentUid, rtc: "local" };
    return request("start_agent", { body, seconds: START_SECONDS });
  }

  /** Takes the agent that is in the channel already, as after a reload, in place of a second one. */
  adopt(uid) {
    if (uid === undefined || this.adopted || this.asked) return;
    this.adopted = true;
    this.agentUid = uid;
  }

  /** The server does not know all agents: one may have been started by hand. */
  async modelOfAdopted() {
    if (hasTicket()) return null; // all agents are none of its business
    const { agents } = await request("agents").catch(() => ({ agents: [] }));
    return agents.find(({ channel_name, uid }) => channel_name === this.name && uid === this.agentUid) ?? null;
  }

  async openAudio() {
    if (!soundAllowed()) return this.page.onnotice(NO_SOUND);
    await this.audio.open();
    try {
      await this.audio.listen();
    } catch (error) {
      if (this.closed) return;
      this.page.onnotice(NO_MICROPHONE[error.name] ?? `The microphone cannot be used: ${error.message}`);
    }
  }

  async join() {
    try {
      await this.joinAs(newUid());
    } catch (error) {
      if (!error.uidTaken || this.closed) throw error;
      await this.joinAs(newUid());
    }
  }

  joinAs(uid) {
    this.channel = new Channel(this.name, uid, {
      onaudio: (sender, pcm) => this.audio.play(sender, pcm),
      oncontrol: (message) => this.control(message),
      ondata: (text) => this.data(text),
      onclose: (closed) => this.closed || this.page.onended(closed.message, true),
    });
    return this.channel.join();
  }

  control({ control, uid, reason, agent, agents }) {
    if (control === "members") this.adopt(agents[0]);
    if (control === "joined" && agent) this.adopt(uid);
    if (control === "clear") this.audio.clear(uid);
    if (control !== "left") return;
    this.audio.forget(uid);
    if (uid === this.agentUid) this.agentLeft(reason);
  }

  agentLeft(reason) {
    this.left = reason ? `The agent left: ${reason}.` : "The agent left.";
    // Before it is ready start() has better words for it, and once stopped it was meant.
    if (this.ready && !this.closed) this.page.onended(this.left, false);
  }

  data(text) {
    const message = this.packets.push(text, performance.now());
    if (isToolCall(message, this.channel.uid)) this.useTool(message);
    else if (message) this.page.onevent(message);
  }

  async useTool(call) {
    const { result, error } = await run(call);
    if (this.closed) return;
    this.page.ontool(call.name, error);
    this.send({ tool_call_id: call.tool_call_id, result });
  }

  level(uid, level) {
    if (uid === null) this.page.onlevel("mic", level);
    else if (uid === this.agentUid) this.page.onlevel("agent", level);
  }

  /** Tells the agent how much of it was put out in this call: it cannot know what the person has heard. */
  receipt(uid, samples) {
    if (uid !== this.agentUid) return; // no one else asks, and the relay takes only so many texts a second
    this.played += samples;
    this.channel.sendControl({ control: "played", uid, samples: this.played });
  }

  say(text) {
    this.send({ type: "text", text });
  }

  send(message) {
    for (const packet of split(message)) this.channel.sendData(packet);
  }

  mute(muted) {
    this.audio.mute(muted);
  }

  /** Silence at once, then the agent, then the channel. */
  async stop() {
    this.closed = true;
    this.audio.close();
    try {
      // Stopped while starting: there is nothing to stop before that is answered.
      const started = await this.asked?.then(() => true, () => false);
      if (started) await request("stop_agent", { body: { channel_name: this.name } });
    } catch (error) {
      // 404: it has left by itself. And so it does when it sees this page leave, where the ticket is too old.
      if (error.status !== 404 && error.code !== "ticket_expired") throw error;
    } finally {
      this.close();
    }
  }

  /** Leave at once; the agent sees it and leaves by itself. */
  close() {
    this.closed = true;
    this.audio.close();
    this.channel?.close();
  }
}

/** 1000 to 2^31 - 1: beyond the small numbers that people pick by hand. */
const newUid = () => 1000 + Math.floor(Math.random() * (2 ** 31 - 1000));
