//! Requests to a Modbus device: only the four functions that read.

use super::address::Table;
use super::plan::Block;
use crate::endpoint::Endpoint;
use crate::failure;
use crate::link::Connection;
use domain::plant::ConnectorError;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;
use tokio_modbus::client::{Client as _, Context, tcp};
use tokio_modbus::{Error, ExceptionCode, Request, Response, Slave};

/// A device's response for a block.
pub enum Answer {
    /// The requested registers, in order.
    Registers(Vec<u16>),
    /// The requested bits, in order.
    Bits(Vec<bool>),
    /// The exception with which the device answers.
    Exception(ExceptionCode),
}

/// An open connection. Requests are serialized: many devices handle one at a time.
pub struct ModbusClient {
    context: Mutex<Context>,
    /// Set while a response is pending, and left set if the wait was cancelled: a late response may then still arrive,
    /// and the connection is unusable.
    dirty: AtomicBool,
}

impl Connection for ModbusClient {
    fn is_open(&self) -> bool {
        // The connection is locked by a running request.
        self.context.try_lock().is_err() || !self.dirty.load(Ordering::Acquire)
    }
}

impl ModbusClient {
    pub async fn connect(endpoint: &Endpoint, unit_id: u8) -> Result<Self, ConnectorError> {
        let stream = endpoint.connect().await?;
        let context = Mutex::new(tcp::attach_slave(stream, Slave(unit_id)));
        Ok(Self { context, dirty: AtomicBool::new(false) })
    }

    pub async fn read(&self, block: Block) -> Result<Answer, ConnectorError> {
        let Block { table, start, quantity } = block;
        let request = match table {
            Table::Coils => Request::ReadCoils(start, quantity),
            Table::DiscreteInputs => Request::ReadDiscreteInputs(start, quantity),
            Table::HoldingRegisters => Request::ReadHoldingRegisters(start, quantity),
            Table::InputRegisters => Request::ReadInputRegisters(start, quantity),
        };
        let mut context = self.context.lock().await;
        if self.dirty.swap(true, Ordering::AcqRel) {
            return Err(failure::unreachable("an earlier request was not answered"));
        }
        let answer = context.call(request).await.map_err(|error| transport_failure(&error))?;
        self.dirty.store(false, Ordering::Release);
        match answer {
            Err(exception) => Ok(Answer::Exception(exception)),
            Ok(Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits))
                if table.holds_bits() && bits.len() >= usize::from(quantity) =>
            {
                Ok(Answer::Bits(bits))
            }
            Ok(Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words))
                if !table.holds_bits() && words.len() == usize::from(quantity) =>
            {
                Ok(Answer::Registers(words))
            }
            Ok(_) => Err(failure::invalid_response("the device sent another number of registers than was asked for")),
        }
    }
}

fn transport_failure(error: &Error) -> ConnectorError {
    match error {
        Error::Transport(error) => failure::io(error),
        Error::Protocol(error) => failure::invalid_response(failure::foreign(&error.to_string())),
    }
}
