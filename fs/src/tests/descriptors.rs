use super::support::{RW, list, open, read, tmp_namespace, write, write_file};
use crate::pipe::pipe;
use crate::{FdTable, FsError, OnExec, OpenFlags, SeekFrom, SliceSource, StatusFlags, VecSink};
use std::sync::Arc;

#[test]
fn the_lowest_free_number_is_taken() {
    let table = FdTable::new(8);
    let (reader, _writer) = pipe(StatusFlags::empty());
    let numbers: Vec<_> = (0..3).map(|_| table.insert(reader.clone(), OnExec::Keep, 0)).collect();
    assert_eq!(numbers, [Ok(0), Ok(1), Ok(2)]);
    assert_eq!(table.insert(reader.clone(), OnExec::Close, 5), Ok(5));
    table.close(1, 1).expect("open");
    assert_eq!(table.close(1, 1), Err(FsError::BadHandle));
    assert_eq!(table.insert(reader.clone(), OnExec::Keep, 0), Ok(1));
    assert_eq!(table.insert(reader.clone(), OnExec::Keep, 0), Ok(3));
    assert_eq!(table.insert(reader.clone(), OnExec::Keep, 5), Ok(6));
    assert_eq!(table.insert(reader.clone(), OnExec::Keep, 0), Ok(4));
    assert_eq!(table.insert(reader.clone(), OnExec::Keep, 0), Ok(7));
    assert_eq!(table.insert(reader.clone(), OnExec::Keep, 0), Err(FsError::TooManyOpen));
    assert_eq!(table.list(), [0, 1, 2, 3, 4, 5, 6, 7]);
    table.close_on_exec(1);
    assert_eq!(table.list(), [0, 1, 2, 3, 4, 6, 7]);
    table.close_range(2, u32::MAX, 1);
    assert_eq!(table.list(), [0, 1]);
    assert!(table.get(-1).is_err() && table.get(2).is_err() && table.get(i32::MAX).is_err());
    assert!(table.insert_at(7, reader.clone(), OnExec::Keep).is_ok_and(|old| old.is_none()));
    assert_eq!(table.insert_at(8, reader.clone(), OnExec::Keep).err(), Some(FsError::BadHandle));
    table.clear(1);
    assert!(table.is_empty());
    assert_eq!(Arc::strong_count(&reader), 1);
}

#[test]
fn a_position_is_shared_and_append_goes_to_the_end() {
    let space = tmp_namespace(100);
    write_file(&space, "/f", b"0123456789");
    let file = open(&space, "/f", OpenFlags::empty(), RW).expect("there");
    assert_eq!(read(&file, 4), Ok(b"0123".to_vec()));
    assert_eq!(file.seek(SeekFrom::Current(-1)), Ok(3));
    assert_eq!(file.seek(SeekFrom::End(-2)), Ok(8));
    assert_eq!(read(&file, 4), Ok(b"89".to_vec()));
    assert_eq!(file.seek(SeekFrom::Current(-11)), Err(FsError::Invalid));
    let mut sink = VecSink::new(3);
    assert_eq!(file.read_at(5, &mut sink), Ok(3));
    assert_eq!(file.position(), 10);
    file.set_status(StatusFlags::APPEND);
    assert_eq!(file.seek(SeekFrom::Start(2)), Ok(2));
    assert_eq!(write(&file, b"xy"), Ok(2));
    assert_eq!(file.position(), 12);
    assert_eq!(file.write_at(0, &mut SliceSource::new(b"z")), Ok(1));
    assert_eq!(file.metadata().size, 13);
    let (reader, writer) = pipe(StatusFlags::empty());
    assert_eq!(reader.seek(SeekFrom::Start(0)), Err(FsError::SeekPipe));
    assert_eq!(write(&reader, b"x"), Err(FsError::BadHandle));
    assert_eq!(read(&writer, 1), Err(FsError::BadHandle));
    assert_eq!(writer.write_at(0, &mut SliceSource::new(b"z")), Err(FsError::SeekPipe));
}

#[test]
fn a_listing_goes_on_where_it_was() {
    let space = tmp_namespace(100);
    (0..200).for_each(|index| write_file(&space, &format!("/f{index}"), b""));
    let dir = open(&space, "/", OpenFlags::DIRECTORY, StatusFlags::READ).expect("there");
    let mut names = Vec::new();
    loop {
        let mut count = 0;
        dir.readdir(&mut |entry| {
            count += 1;
            if count <= 7 {
                names.push(String::from_utf8_lossy(entry.name).into_owned());
            }
            count <= 7
        })
        .expect("a directory");
        if count == 0 {
            break;
        }
        // What was listed may go; the rest still comes once.
        if let Some(name) = names.last().filter(|name| name.starts_with('f')) {
            space.unlink(space.root(), name.as_bytes()).expect("there");
        }
    }
    assert_eq!(names.len(), 202);
    assert_eq!(names[..2], [".", ".."]);
    dir.seek(SeekFrom::Start(0)).expect("a directory rewinds");
    assert!(list(&dir).len() < 202);
}
