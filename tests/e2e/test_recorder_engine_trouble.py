"""presence-recorder --engine: whatever becomes of the engine, the groups and the database, what is recorded
is true."""

import os
import sqlite3

from side_by_side import main
from totals_recorder import RecorderCase
from written_shards import WrittenShards


class Trouble(RecorderCase):
    def test_stale_groups_are_not_sampled(self):
        self.write(5, stale=1)
        self.begin()
        self.wait_logged("no group of collectors is whole: nothing is recorded until one is")
        self.wait_sampled()
        self.end()
        self.assertEqual(self.query("SELECT * FROM minute"), [])
        self.begin()
        self.wait_logged("no group of collectors is whole")
        self.write(5)
        self.wait_logged("a group of collectors is whole again")
        self.wait_sampled()
        self.write(900, stale=1)
        self.wait_logged("no group of collectors is whole", times=2)
        self.wait_sampled()
        self.end()
        self.assertEqual({minute["maximum"] for minute in self.minutes().values()}, {10})

    def test_without_a_publisher(self):
        self.begin()
        self.wait_logged("cannot use the engine")
        self.write(5)
        self.wait_logged("can be used again")
        self.wait_sampled()
        self.end()
        self.assertEqual({minute["maximum"] for minute in self.minutes().values()}, {10})

    def test_the_engine_is_away(self):
        self.write(5)
        first = self.begin(second=48)
        self.wait_chosen()
        self.shards.close()
        self.engine.kill()
        self.wait_logged("cannot use the engine")
        self.assertEqual(self.wait_stored(), first)  # a minute ends without the engine, too
        self.engine.start()
        self.shards = WrittenShards(self.engine)
        self.addCleanup(self.shards.close)
        self.write(6)
        self.wait_logged("can be used again")
        self.wait_sampled()
        self.engine.freeze()
        self.wait_logged("cannot use the engine", times=2)
        self.engine.thaw()
        self.wait_logged("can be used again", times=2)
        self.end()
        self.assertEqual(self.output().count("cannot use the engine"),
                         self.output().count("can be used again"), self.output())
        found = self.minutes()
        self.assertEqual(found[first]["maximum"], 10)
        self.assertEqual(found[max(found)]["maximum"], 12)

    def test_it_ends_without_the_engine(self):
        self.write(5)
        first = self.begin()
        self.wait_chosen()
        self.shards.close()
        self.engine.freeze()
        self.wait_logged("cannot use the engine")
        self.end()
        self.assertEqual(self.minutes()[first]["maximum"], 10)

    def test_another_file_takes_the_place_of_the_database(self):
        self.write(5)
        self.begin(second=50)
        self.wait_chosen()
        os.rename(self.database, self.database + ".old")
        self.wait_logged("was moved or deleted: opening it anew")
        first = self.wait_stored()
        self.end()
        self.assertEqual(self.minutes()[first]["maximum"], 10)

    def test_a_locked_database_delays_minutes(self):
        self.write(5)
        first = self.begin(second=54)
        self.wait_chosen()
        connection = sqlite3.connect(self.database)
        connection.execute("BEGIN IMMEDIATE")
        self.wait_logged("cannot record into the database")
        connection.rollback()
        connection.close()
        self.end()
        self.assertEqual(self.minutes()[first]["maximum"], 10)


if __name__ == "__main__":
    main()
