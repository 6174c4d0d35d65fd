// An SMSC made of npm's `smpp`, which does with each message what the test says.
//
//   node smsc.js '{"plan": {"12025550001": {"status": 88}}, …}'
//
// It prints what it sees and takes orders, both as lines of JSON; see tests/support/smsc.py.
'use strict';
const readline = require('node:readline');
const smpp = require('smpp');

const settings = Object.assign({
  plan: {},          // by destination, or its first 8 digits: what to do, a list of it for one try after the other
  receipt: null,     // what every message without a plan does beside being taken
  ids: 'counter',    // counter | hex | upper | padded | name: the form in submit_sm_resp
  receipt_ids: 'same', // same | decimal | hex | stripped | upper: the form in receipts
  quiet: false,      // prints no submits
  password: '',
  refuse: 0,         // how many binds it refuses first
  refuse_status: 13,
}, JSON.parse(process.argv[2] || '{}'));

const say = (event, more) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
const sessions = new Set();
const parked = [];
const tries = new Map();
let submits = 0;
let confirmed = 0;

function idOf(number) {
  switch (settings.ids) {
    case 'hex': return number.toString(16);
    case 'upper': return number.toString(16).toUpperCase().padStart(8, '0');
    case 'padded': return String(number).padStart(10, '0');
    case 'name': return `Msg-${number}-Ab`;
    default: return String(number);
  }
}

function receiptIdOf(number) {
  const given = idOf(number);
  switch (settings.receipt_ids) {
    case 'decimal': return String(number);
    case 'hex': return number.toString(16);
    case 'stripped': return given.replace(/^0+/, '');
    case 'upper': return given.toUpperCase();
    default: return given;
  }
}

function text(id, receipt) {
  const stat = receipt.stat || 'DELIVRD';
  const err = receipt.err || '000';
  const done = receipt.done || '2611220612';
  return `id:${id} sub:001 dlvrd:001 submit date:2611220611 done date:${done} stat:${stat} err:${err} text:hello`;
}

function tell(session, pdu, number, receipt) {
  const id = 'id' in receipt ? receipt.id : receiptIdOf(number);
  const out = {
    source_addr: pdu.destination_addr,
    destination_addr: pdu.source_addr,
    esm_class: 'esm_class' in receipt ? receipt.esm_class : 4,
  };
  if (receipt.tlv !== 'only') out.short_message = receipt.text || text(id, receipt);
  else out.short_message = '';
  if (receipt.tlv) {
    out.receipted_message_id = id;
    out.message_state = receipt.state || 2;
    if (receipt.network_error_code) out.network_error_code = Buffer.from(receipt.network_error_code, 'hex');
  }
  for (let again = 0; again < (receipt.times || 1); again += 1) {
    session.deliver_sm(out, (resp) => {
      confirmed += 1;
      if (!settings.quiet) say('confirmed', { status: resp.command_status, count: confirmed });
    });
  }
}

function planOf(to) {
  const plan = settings.plan[to] || settings.plan[to.slice(0, 8)];
  if (!Array.isArray(plan)) return plan || {};
  const tried = tries.get(to) || 0;
  tries.set(to, tried + 1);
  return plan[Math.min(tried, plan.length - 1)];
}

// What is written in one turn leaves together, as it does from an SMSC with much to do.
function gather(session) {
  if (session.gathers) return;
  session.gathers = true;
  session.socket.cork();
  setImmediate(() => { session.gathers = false; session.socket.uncork(); });
}

function taken(session, pdu) {
  submits += 1;
  gather(session);
  const number = (settings.first || 0) + submits;
  const plan = planOf(pdu.destination_addr);
  const receipt = 'receipt' in plan ? plan.receipt : settings.receipt;
  if (!settings.quiet) {
    const message = pdu.short_message || {};
    say('submit', {
      number, to: pdu.destination_addr, from: pdu.source_addr, esm_class: pdu.esm_class,
      data_coding: pdu.data_coding, registered_delivery: pdu.registered_delivery,
      validity_period: String(pdu.validity_period),
      ton: [pdu.source_addr_ton, pdu.source_addr_npi, pdu.dest_addr_ton, pdu.dest_addr_npi],
      text: message.message === undefined ? '' : message.message.toString(),
      udh: message.udh ? message.udh.map((each) => each.toString('hex')) : null,
      payload: pdu.message_payload ? pdu.message_payload.message.toString() : null,
      sar: pdu.sar_total_segments
        ? [pdu.sar_msg_ref_num, pdu.sar_segment_seqnum, pdu.sar_total_segments] : null,
    });
  }
  if (plan.drop) return;
  if (plan.close) { session.socket.destroy(); return; }
  if (plan.nack) { session.generic_nack({ sequence_number: pdu.sequence_number, command_status: plan.nack }); return; }
  if (plan.status) { session.send(pdu.response({ command_status: plan.status })); return; }
  if (receipt && receipt.early) tell(session, pdu, number, receipt);
  if (plan.park) { parked.push(() => session.send(pdu.response({ message_id: idOf(number) }))); return; }
  session.send(pdu.response({ message_id: 'message_id' in plan ? plan.message_id : idOf(number) }));
  if (receipt && !receipt.early) tell(session, pdu, number, receipt);
}

const server = smpp.createServer(settings.tls || {}, (session) => {
  sessions.add(session);
  session.on('error', () => session.destroy());
  session.on('close', () => { sessions.delete(session); say('closed', {}); });
  for (const bind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(bind, (pdu) => {
      if (settings.refuse > 0 || (settings.password && pdu.password !== settings.password)) {
        settings.refuse -= 1;
        session.send(pdu.response({ command_status: settings.refuse_status }));
        say('refused', {});
        return;
      }
      session.kind = bind;
      session.send(pdu.response({ system_id: 'npm' }));
      say('bound', { bind, system_id: pdu.system_id, system_type: pdu.system_type });
    });
  }
  session.on('submit_sm', (pdu) => taken(session, pdu));
  session.on('query_sm', (pdu) => {
    say('query', { id: pdu.message_id });
    session.send(pdu.response({ message_id: pdu.message_id, message_state: settings.query_state || 2, error_code: 0 }));
  });
  session.on('enquire_link', (pdu) => {
    say('enquired', {});
    if (!settings.deaf) session.send(pdu.response());
  });
  session.on('enquire_link_resp', () => say('answered', {}));
  session.on('unbind', (pdu) => { session.send(pdu.response()); say('unbound', {}); session.close(); });
});

const orders = {
  // An inbound message or a made-up receipt: the fields of a deliver_sm.
  deliver(order) {
    const receivers = [...sessions].filter((each) => each.kind !== 'bind_transmitter');
    const fields = { ...order.fields };
    if (fields.hex !== undefined) { fields.short_message = Buffer.from(fields.hex, 'hex'); delete fields.hex; }
    receivers[0].deliver_sm(fields, (resp) => say('confirmed', { status: resp.command_status, count: confirmed += 1 }));
  },
  raw(order) { for (const each of sessions) each.socket.write(Buffer.from(order.hex, 'hex')); },
  release() { for (const each of parked.splice(0)) each(); say('released', {}); },
  plan(order) { Object.assign(settings.plan, order.plan); say('planned', {}); },
  set(order) { Object.assign(settings, order.settings); say('set', {}); },
  close() { for (const each of sessions) each.socket.destroy(); },
  enquire() { for (const each of sessions) each.enquire_link(); },
  unbind() { for (const each of sessions) each.unbind(); },
  count() { say('counts', { submits, confirmed }); },
};
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line);
  orders[order.order](order);
}).on('close', () => process.exit(0));

server.listen(settings.port || 0, '127.0.0.1', () => say('listening', { port: server.address().port }));
